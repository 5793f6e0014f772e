"""The words over and under the tables, from ``tables.toml``."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from benchmark.models.validation import Entry


class TableWords(Entry):
    """A table's title, its caption where that is its own, and the models where they are few."""

    title: str
    caption: str = ""
    models: tuple[str, ...] = ()


class Captions(Entry):
    """All of it; ``published`` and ``measured`` say what the intervals are."""

    tables: Mapping[str, TableWords]
    experiments: Mapping[str, str]
    math_as_instructions: frozenset[str]
    published: str
    measured: str


@cache
def captions() -> Captions:
    """The words of the file."""
    text = files("benchmark.report").joinpath("tables.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return Captions.model_validate(
        {
            "tables": {name: part for name, part in found.items() if name.startswith("table-")},
            "experiments": found["experiments"],
            "math_as_instructions": found["math_as_instructions"]["models"],
            **found["intervals"],
        }
    )
