"""Declared requirements of installed distributions, on metadata written by the tests."""

from collections.abc import Iterator, Mapping
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import SettingError
from benchmark.upgrades.requirements import (
    check_range,
    installed_distributions,
    unmet_requirements,
)

Declared = Mapping[str, tuple[str, list[str]]]
"""Version and requirements by name."""


def _write(folder: Path, declared: Declared) -> str:
    for name, (version, requires) in declared.items():
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
    return str(folder)


def _unmet(folder: Path, declared: Declared, *roots: str) -> tuple[str, ...]:
    return unmet_requirements(installed_distributions([_write(folder, declared)]), roots)


def test_unmet_requirements_are_named(tmp_path: Path) -> None:
    """A wrong version and a missing distribution, in lines that a user can act on."""
    declared: Declared = {
        "user": ("5.0", ["lib<0.24,>=0.23.1", "gone>=1"]),
        "lib": ("0.22.2", []),
    }
    assert _unmet(tmp_path, declared, "user") == (
        "user 5.0 requires gone>=1, which is not installed",
        "user 5.0 requires lib<0.24,>=0.23.1, but 0.22.2 is installed",
    )


@pytest.mark.parametrize(
    ("version", "requirement", "met"),
    [
        ("1.0", "lib", True),
        ("1.0", "LIB==1.0", True),
        ("2.13.0+cpu", "lib==2.13.0", True),
        ("2.0rc1", "lib>=1", True),
        ("1.0", "lib>1", False),
        ("1.0", "lib>1; extra == 'fast'", True),
        ("1.0", "lib>1; python_version < '3'", True),
        ("1.0", "lib>1; python_version > '3'", False),
        ("1.0", "not a requirement (((", True),
    ],
)
def test_versions_markers_and_extras(
    version: str,
    requirement: str,
    met: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """Local versions and pre-releases count; requirements of extras and other systems do not."""
    declared: Declared = {"user": ("1", [requirement]), "lib": (version, [])}
    assert (_unmet(tmp_path, declared, "user") == ()) is met


def test_the_first_folder_wins(tmp_path: Path) -> None:
    """As for an import, the overlay's release shadows that of the base environment."""
    overlay = _write(tmp_path / "overlay", {"lib": ("2", [])})
    base = _write(tmp_path / "base", {"lib": ("1", []), "user": ("1", ["lib<2"])})
    assert unmet_requirements(installed_distributions([base]), ["user"]) == ()
    assert unmet_requirements(installed_distributions([overlay, base]), ["user"]) == (
        "user 1 requires lib<2, but 2 is installed",
    )


GRAPHS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.tuples(st.integers(1, 3), st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 3))),
)


def _reached(graph: Mapping[str, tuple[int, Mapping[str, int]]], root: str) -> Iterator[str]:
    """Yield what a path of requirements leads to, by trying all paths up to six steps."""
    for length in range(6):
        for path in product(graph, repeat=length):
            chain = (root, *path)
            if all(b in graph[a][1] for a, b in pairwise(chain)):
                yield chain[-1]


@given(GRAPHS.filter(lambda graph: len(graph) <= 3), st.sampled_from("abcdef"))
def test_only_what_the_roots_require_is_checked(
    tmp_path_factory: pytest.TempPathFactory,
    graph: Mapping[str, tuple[int, Mapping[str, int]]],
    root: str,
) -> None:
    """Requirements of distributions that no root leads to are not checked."""
    declared = {
        name: (str(version), [f"{other}=={number}" for other, number in requires.items()])
        for name, (version, requires) in graph.items()
    }
    checked = set(_reached(graph, root)) if root in graph else set()
    expected = sum(
        other not in graph or graph[other][0] != required
        for name in checked
        for other, required in graph[name][1].items()
    )
    assert len(_unmet(tmp_path_factory.mktemp("site"), declared, root)) == expected


RELEASES = ("0.2.10", "0.2.11", "0.2.12")


def _check(folder: Path, declared: Declared, *alongside: str) -> None:
    installed = installed_distributions([_write(folder, declared)])
    check_range("outlines-core", RELEASES, alongside, installed)


def test_a_range_that_a_pin_excludes(tmp_path: Path) -> None:
    """An exact pin leaves one release, which cannot be compared: the line says what to do."""
    declared: Declared = {
        "outlines": ("1.2.5", ["outlines_core==0.2.11"]),
        "outlines_core": ("0.2.11", []),
    }
    with pytest.raises(SettingError) as error:
        _check(tmp_path, declared)
    assert str(error.value) == (
        "outlines 1.2.5 requires outlines_core==0.2.11, which 1 of these 3 releases meet; bisect "
        "outlines instead, or name a release of it with --with outlines==VERSION"
    )
    _check(tmp_path / "with", declared, "outlines==1.3")


@pytest.mark.parametrize(
    ("requirement", "present"),
    [
        ("outlines_core>=0.2.11", "0.2.11"),
        ("outlines_core", "0.2.11"),
        ("outlines_core==0.1", "0.2.11"),  # not met by what is installed either
        ("other==1", "0.2.11"),
    ],
)
def test_a_range_that_can_be_compared(tmp_path: Path, requirement: str, present: str) -> None:
    """Two releases that meet every requirement are enough."""
    _check(
        tmp_path,
        {"outlines": ("1", [requirement]), "outlines_core": (present, []), "other": ("1", [])},
    )
