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

if TYPE_CHECKING:
    from datasets import Dataset


_OPTIONS = ("password", "seed", "states", "split", "task")


def dataset(data: str | None = None, **options: object) -> dict[str, "Dataset"]:
    """Return the states, one document each; the options come from ``--metadata``.

    lm-evaluation-harness also passes the arguments of the model, which are ignored.
    """
    from datasets import Dataset

    own = {name: options[name] for name in _OPTIONS if name in options}
    return {"test": Dataset.from_list(documents(data, **own))}


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
