"""The paper's Table 6 as counts, against the accuracies that the paper prints."""

import csv
from pathlib import Path

import pytest

from benchmark.models.published import published

PRINTED = Path(__file__).parents[3] / "fixtures" / "published_overall.csv"
with PRINTED.open(encoding="utf-8", newline="") as file:
    OVERALL = {row["model"]: row["overall"] for row in csv.DictReader(file)}
INSTANCES = [1303, 1410, 1083, 651, 288, 142, 106, 29]


def test_every_model_is_there() -> None:
    """The 29 models of the paper, each with its own identifier on the hub."""
    assert published().keys() == OVERALL.keys()
    assert len({model.huggingface_id for model in published().values()}) == len(OVERALL) == 29
    for name, model in published().items():
        assert model.name == name
        owner, _, repository = model.huggingface_id.partition("/")
        assert owner
        assert repository


@pytest.mark.parametrize("name", OVERALL)
def test_overall_accuracy(name: str) -> None:
    """The counts sum up to the overall accuracy that the paper prints, to its two decimals."""
    tallies = published()[name].by_numops.values()
    correct, total = sum(t.correct for t in tallies), sum(t.total for t in tallies)
    assert total == 5012
    assert f"{100 * correct / total:.2f}" == OVERALL[name]


@pytest.mark.parametrize("name", OVERALL)
def test_counts_are_of_the_evaluated_set(name: str) -> None:
    """Every model answered the same queries of 0 to 7 operations, and no more than all right."""
    by_numops = published()[name].by_numops
    assert list(by_numops) == list(range(8))
    assert [tally.total for tally in by_numops.values()] == INSTANCES
    assert all(0 <= tally.correct <= tally.total for tally in by_numops.values())


@pytest.mark.parametrize(
    ("name", "numops", "printed"),
    [
        ("Llama 2 7B", 1, "4.96"),
        ("Llama 2 70B", 7, "27.59"),
        ("CodeLlama 70B Instruct", 1, "83.40"),
        ("Llemma 7B", 7, "0.00"),
        ("DeepSeek 7B", 4, "1.04"),
        ("Llama 7B", 1, "0.71"),
        ("OpenMath-Mistral 7B", 7, "20.69"),
    ],
)
def test_accuracy_by_numops(name: str, numops: int, printed: str) -> None:
    """The accuracy of one cell of the table is the printed one."""
    assert f"{100 * published()[name].by_numops[numops].accuracy:.2f}" == printed


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("Llama 7B", "4.34"),
        ("FLoat 7B", "5.85"),
        ("Llemma 34B", "47.86"),
        ("CodeLlama 34B", "45.46"),
    ],
)
def test_accuracy_on_nontrivial_queries(name: str, printed: str) -> None:
    """The accuracies on at least one operation that the paper's text and Table 3 give follow."""
    tallies = [t for numops, t in published()[name].by_numops.items() if numops >= 1]
    accuracy = 100 * sum(t.correct for t in tallies) / sum(t.total for t in tallies)
    assert f"{accuracy:.2f}" == printed
