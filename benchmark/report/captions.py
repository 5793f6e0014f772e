"""Titles and captions of the tables, read from ``tables.toml``."""

from collections.abc import Mapping
from functools import cache

from benchmark.models.validation import Entry, Items
from benchmark.package_data import package_toml


class TableText(Entry):
    """A table's title, its own caption if it has one, and its models if they are a selection."""

    title: str
    caption: str = ""
    models: Items[str] = ()


class Captions(Entry):
    """The contents of the file; ``published`` and ``measured`` explain the intervals."""

    tables: Mapping[str, TableText]
    experiments: Mapping[str, str]
    math_as_instructions: Items[str]
    published: str
    measured: str


@cache
def captions() -> Captions:
    """Read the file."""
    sections = package_toml("report/tables.toml")
    return Captions.model_validate(
        {
            "tables": {key: value for key, value in sections.items() if key.startswith("table-")},
            "experiments": sections["experiments"],
            "math_as_instructions": sections["math_as_instructions"]["models"],
            **sections["intervals"],
        }
    )
