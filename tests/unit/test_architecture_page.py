"""docs/architecture.md agrees with the contracts of pyproject.toml and the rooms of benchmark/."""

import doctest
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
LAYERS: list[str] = next(
    contract["layers"] for contract in CONTRACTS if contract["type"] == "layers"
)
"""From the top to the bottom; rooms that share a layer are separated by a bar."""


def sections() -> dict[str, str]:
    """Return the sections about rooms, by room, in the order of the page."""
    _, *parts = re.split(r"^### `(\w+)`\n", TEXT.partition("\n## The seams")[0], flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def block(language: str) -> list[str]:
    """Return the lines of the page's only block in a language."""
    _, _, rest = TEXT.partition(f"```{language}\n")
    assert rest.count(f"```{language}\n") == 0
    return rest.partition("```")[0].splitlines()


def layer(room: str) -> int:
    """Return the number of a room's layer, from the bottom."""
    return next(n for n, names in enumerate(LAYERS[::-1]) if room in names.split(" | "))


def test_layers_are_those_of_the_contract() -> None:
    """The same rooms in the same order, and a description of each layer."""
    lines = [re.split(" {2,}", line) for line in block("text")]
    assert [names for names, _ in lines] == LAYERS


def test_data_flows_from_lower_to_higher_layers() -> None:
    """Every arrow of the diagram goes up."""
    _, *lines = block("mermaid")
    arrows = [re.fullmatch(r" +(\w+) -->\|[\w, ]+\| (\w+)", line) for line in lines]
    ends = [(arrow[1], arrow[2]) for arrow in arrows if arrow]
    assert len(ends) == len(lines)
    assert not [(start, end) for start, end in ends if layer(start) >= layer(end)]


def test_sections_have_the_rooms_of_the_contract() -> None:
    """One section per room, from the bottom to the top, and each says something."""
    rooms = [room for layer in reversed(LAYERS) for room in layer.split(" | ")]
    in_layers = sorted(sections(), key=layer)
    assert sorted(sections()) == sorted(rooms)
    assert list(sections()) == in_layers
    assert all(text.strip() for text in sections().values())


def test_sections_have_the_rooms_on_disk() -> None:
    """A package or module of benchmark/ without a section fails, and so does a section of none."""
    package = ROOT / "benchmark"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert set(sections()) == modules | rooms
    for inner in package.glob("*/*/__init__.py"):
        assert f"`{inner.parent.name}/`" in sections()[inner.parents[1].name]


def test_rules_are_the_contracts() -> None:
    """Each contract is explained under its own name, in the order of pyproject.toml."""
    table = TEXT.partition("| contract | why |\n|---|---|\n")[2].partition("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()] == [
        contract["name"] for contract in CONTRACTS
    ]


@pytest.mark.parametrize("room", sections())
def test_files_of_a_room_exist(room: str) -> None:
    """Each file that a section names is in that room, or is named by its whole path."""
    for name in re.findall(r"`([\w./-]+(?:/|\.(?:py|toml|csv|md)))`", sections()[room]):
        assert (ROOT / "benchmark" / room / name).exists() or (ROOT / name).exists(), name


def test_files_of_the_page_exist() -> None:
    """So does each file of the project that the page names elsewhere, and each page it links."""
    named = re.findall(r"`((?:benchmark|tests|docs|fixtures|snapshots)/[\w./-]*)`", TEXT)
    linked = [f"docs/{name}" for name in re.findall(r"\]\(([\w.-]+\.md)\)", TEXT)]
    assert not [name for name in (*named, *linked) if not (ROOT / name).exists()]


def test_example_runs() -> None:
    """The state of the example scores what the page says."""
    result = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert result.attempted >= 5
    assert not result.failed
