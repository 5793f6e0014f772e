"""Published results as counts: the paper's Table 6, and further models in its authors' data.

Also the random row of the table, and accuracies that are only in the paper's text.
"""

import csv
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from benchmark.package_data import package_text, package_toml
from benchmark.records import Tally

FOR_SCALE = ("Llama 2 7B", "CodeLlama 13B")
"""Names of the published models that results are shown next to: a low and a high one."""


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A published row: a model with its counts for numops 0 to 7.

    ``key`` is the model's key in the registry. ``source`` is ``paper`` for Table 6, and ``authors``
    for models that are only in the data of the authors' figures. ``huggingface_id`` is the
    repository that the source names (Table 4 for the paper); the registry decides which one is
    loaded.
    """

    key: str
    source: Literal["paper", "authors"]
    name: str
    huggingface_id: str
    by_numops: dict[int, Tally]


@dataclass(frozen=True, slots=True)
class Quoted:
    """An accuracy over all queries from the paper's text; ``model`` is a key of the registry."""

    model: str
    decoding: Literal["constrained", "unconstrained"]
    place: str
    percent: float
    queries: int

    @property
    def tally(self) -> Tally:
        """The count with this accuracy; one query in 5,012 is 0.02 per cent."""
        return Tally(round(self.queries * self.percent / 100), self.queries)


@cache
def published() -> dict[str, PublishedModel]:
    """Return the 29 models of Table 6 by name."""
    return {row.name: row for row in published_rows().values() if row.source == "paper"}


@cache
def published_rows() -> dict[str, PublishedModel]:
    """Return all published rows by registry key, those of the paper first."""
    text = package_text("models/published.csv")
    instances, *rows = csv.DictReader(text.splitlines())
    return {row["key"]: _model(row, instances) for row in rows}


def random_row() -> dict[int, float]:
    """Return the random baseline's row of Table 6: accuracy in per cent for numops 0 to 7."""
    return {int(numops): float(percent) for numops, percent in _printed()["random"].items()}


def quoted_overall() -> list[Quoted]:
    """Return accuracies over all queries that are in the text but not in Table 6."""
    first = next(iter(published().values()))
    queries = sum(tally.total for tally in first.by_numops.values())
    return [Quoted(**fields, queries=queries) for fields in _printed()["quoted"]]


@cache
def _printed() -> dict[str, Any]:
    return package_toml("models/published.toml")


def _model(row: dict[str, str], instances: dict[str, str]) -> PublishedModel:
    columns = [name for name in row if name.startswith("correct")]
    by_numops = {
        int(name.removeprefix("correct")): Tally(int(row[name]), int(instances[name]))
        for name in columns
    }
    source: Literal["paper", "authors"] = "paper" if row["source"] == "paper" else "authors"
    return PublishedModel(row["key"], source, row["model"], row["huggingface_id"], by_numops)
