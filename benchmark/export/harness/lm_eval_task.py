"""What ``entity_tracking_boxes.yaml`` names; lm-evaluation-harness loads it by its path."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from benchmark.export.harness.boxes import GROUPS, Document, Queries, accuracy, documents, queries

if TYPE_CHECKING:
    from datasets import Dataset


def dataset(
    data: str | None = None,
    password: str | None = None,
    seed: int | None = None,
    states: int | None = None,
    split: str = "test",
    **_: object,
) -> dict[str, "Dataset"]:
    """The states, a document each; the options come from ``--metadata``.

    lm-evaluation-harness hands the arguments of the model over too, which say nothing here.
    """
    from datasets import Dataset

    return {"test": Dataset.from_list(documents(data, password, seed, states, split))}


def process_results(document: Document, results: Sequence[str]) -> Mapping[str, Queries]:
    """The queries of a state under the name of every accuracy: each picks its own of them."""
    scored = queries(document["sample_id"], document["description"], results[0])
    return dict.fromkeys(GROUPS, scored)


acc = partial(accuracy, group="acc")
acc_nontrivial = partial(accuracy, group="acc_nontrivial")
acc_numops_0 = partial(accuracy, group="acc_numops_0")
acc_numops_1 = partial(accuracy, group="acc_numops_1")
acc_numops_2 = partial(accuracy, group="acc_numops_2")
acc_numops_3 = partial(accuracy, group="acc_numops_3")
acc_numops_4 = partial(accuracy, group="acc_numops_4")
acc_numops_5 = partial(accuracy, group="acc_numops_5")
acc_numops_6 = partial(accuracy, group="acc_numops_6")
acc_numops_7 = partial(accuracy, group="acc_numops_7")
