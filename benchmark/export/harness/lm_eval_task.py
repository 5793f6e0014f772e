"""What ``entity_tracking_boxes.yaml`` names; lm-evaluation-harness loads it by its path."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from benchmark.export.harness.boxes import GROUPS, Document, Queries, accuracy, documents, queries
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
    """The states, a document each; the options come from ``--metadata``.

    lm-evaluation-harness hands the arguments of the model over too, which say nothing here.
    """
    from datasets import Dataset

    return {"test": Dataset.from_list(documents(data, password, seed, states, split, task))}


def process_results(document: Document, results: Sequence[str]) -> Mapping[str, Queries]:
    """The queries of a state under the name of every accuracy: each picks its own of them."""
    scored = queries(document["sample_id"], document["description"], results[0], document["task"])
    return dict.fromkeys(GROUPS, scored)


def __getattr__(name: str) -> Callable[[Iterable[Queries]], float]:
    """The accuracy of that name, which the task names as a metric's aggregation."""
    if name not in GROUPS:
        raise AttributeError(name)
    return partial(accuracy, group=name)
