"""Functions for ``entity_tracking_boxes.yaml``; lm-evaluation-harness loads this file by path."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from benchmark.export.harness.boxes import (
    GROUPS,
    Document,
    ScoredQueries,
    accuracy,
    documents,
    score_text,
)
from benchmark.tasks import DEFAULT

if TYPE_CHECKING:
    from datasets import Dataset


def dataset(
    data: str | None = None,
    password: str | None = None,
    seed: int | None = None,
    states: int | None = None,
    split: str = "test",
    task: str = DEFAULT,
    **_: object,
) -> dict[str, "Dataset"]:
    """Return the states, one document each; the options come from ``--metadata``.

    lm-evaluation-harness also passes the arguments of the model, which are ignored.
    """
    from datasets import Dataset

    return {"test": Dataset.from_list(documents(data, password, seed, states, split, task))}


def process_results(document: Document, results: Sequence[str]) -> Mapping[str, ScoredQueries]:
    """Return the scored queries of a state for every accuracy, whose function selects its own."""
    scored = score_text(
        document["sample_id"], document["description"], results[0], document["task"]
    )
    return dict.fromkeys(GROUPS, scored)


def __getattr__(name: str) -> Callable[[Iterable[ScoredQueries]], float]:
    """Return the accuracy of that name, which the YAML file uses as an aggregation."""
    if name not in GROUPS:
        raise AttributeError(name)
    return partial(accuracy, group=name)
