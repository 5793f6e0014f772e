"""The paper's results (Table 6), as counts."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from benchmark.records import Tally


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model of the paper with its counts by numops 0 to 7."""

    name: str
    huggingface_id: str
    by_numops: dict[int, Tally]


@cache
def published() -> dict[str, PublishedModel]:
    """The 29 models of Table 6 by name."""
    text = files("benchmark.models").joinpath("published.csv").read_text(encoding="utf-8")
    instances, *rows = csv.DictReader(text.splitlines())
    return {row["model"]: _model(row, instances) for row in rows}


def _model(row: dict[str, str], instances: dict[str, str]) -> PublishedModel:
    columns = [name for name in row if name.startswith("correct")]
    by_numops = {
        int(name.removeprefix("correct")): Tally(int(row[name]), int(instances[name]))
        for name in columns
    }
    return PublishedModel(row["model"], row["huggingface_id"], by_numops)
