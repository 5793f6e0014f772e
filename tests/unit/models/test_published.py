"""The paper's Table 6 as counts, compared with all figures in the paper."""

import csv
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.models.published import (
    published,
    published_rows,
    quoted_overall,
    random_row,
)
from benchmark.models.registry import registry
from benchmark.pytest_plugin.snapshots.extension import PublishedExtension
from benchmark.records import Tally

ROOT = Path(__file__).parents[3]


def _read(name: str) -> list[dict[str, str]]:
    with (ROOT / "fixtures" / "published" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


TABLE = {row["model"]: row for row in _read("table6.csv")}
INSTANCES, RANDOM = TABLE.pop("instances"), TABLE.pop("random")
CELLS = [f"ops{numops}" for numops in range(8)]

AUTHORS = {row["huggingface_id"]: row for row in _read("authors.csv")}
"""The authors' own data of their figures, by the identifiers in it: models by their accuracies."""

AUTHORS_INSTANCES = AUTHORS.pop("")


def _percent(tallies: list[Tally]) -> float:
    return 100 * sum(t.correct for t in tallies) / sum(t.total for t in tallies)


def _of(name: str, queries: str) -> float:
    """Return the accuracy of a model on all its queries, or on those with numops >= 1."""
    by_numops = published()[name].by_numops
    least = {"all": 0, "nontrivial": 1}[queries]
    return _percent([tally for numops, tally in by_numops.items() if numops >= least])


def test_every_model_is_there() -> None:
    """The 29 models of the paper, each with its identifier of Table 4, as registered."""
    assert list(published()) == list(TABLE)
    assert len(TABLE) == 29
    for name, model in published().items():
        assert (model.name, model.huggingface_id) == (name, TABLE[name]["huggingface_id"])
        registered = registry().model(model.key)
        assert (registered.name, registered.paper) == (name, True)


@pytest.mark.parametrize("name", TABLE)
def test_table_6(name: str) -> None:
    """Every accuracy of the table follows from the counts, to its two decimals."""
    model = published()[name]
    assert [str(model.by_numops[n].total) for n in range(8)] == [INSTANCES[c] for c in CELLS]
    assert all(0 <= tally.correct <= tally.total for tally in model.by_numops.values())
    result = [f"{100 * model.by_numops[n].accuracy:.2f}" for n in range(8)]
    assert result == [TABLE[name][cell] for cell in CELLS]
    assert f"{_of(name, 'all'):.2f}" == TABLE[name]["overall"]


@pytest.mark.parametrize("name", TABLE, ids=lambda name: name.lower().replace(" ", "-"))
def test_counts(name: str, snapshot: SnapshotAssertion) -> None:
    """The counts are those in the recorded snapshot, one file per model."""
    model = published()[name]
    document = {
        "model": model.name,
        "huggingface_id": model.huggingface_id,
        "by_numops": {
            str(numops): {"correct": tally.correct, "total": tally.total}
            for numops, tally in model.by_numops.items()
        },
    }
    assert document == snapshot.use_extension(PublishedExtension)


@pytest.mark.parametrize("row", _read("table3.csv"), ids=lambda row: row["model"])
def test_table_3(row: dict[str, str]) -> None:
    """Table 3 follows from the counts: all queries, numops 0, numops >= 1."""
    name = row["model"]
    assert f"{_of(name, 'all'):.2f}" == row["aggregate"]
    assert f"{100 * published()[name].by_numops[0].accuracy:.2f}" == row["ops0"]
    assert f"{_of(name, 'nontrivial'):.2f}" == row["nontrivial"]


@pytest.mark.parametrize("row", _read("quoted.csv"), ids=lambda row: row["model"])
def test_figures_in_the_text(row: dict[str, str]) -> None:
    """The accuracies in the text follow from the counts, to the printed decimals."""
    decimals = len(row["printed"].partition(".")[2])
    assert f"{_of(row['model'], row['queries']):.{decimals}f}" == row["printed"]


def test_the_random_row() -> None:
    """The baseline's row is as printed, and its mean over the queries is its overall accuracy."""
    assert {f"ops{n}": f"{percent:.2f}" for n, percent in random_row().items()} == {
        cell: RANDOM[cell] for cell in CELLS
    }
    totals = {n: int(INSTANCES[f"ops{n}"]) for n in range(8)}
    mean = sum(random_row()[n] * total for n, total in totals.items()) / sum(totals.values())
    assert f"{mean:.2f}" == RANDOM["overall"] == "21.08"


def test_the_unconstrained_figure_is_one_count() -> None:
    """2,754 is the only count out of 5,012 that rounds to the 54.95 in the text."""
    (quote,) = quoted_overall()
    fitting = [k for k in range(5013) if f"{100 * k / 5012:.2f}" == f"{quote.percent:.2f}"]
    assert (quote.model, quote.decoding) == ("llama2-70b", "unconstrained")
    assert [quote.tally] == [Tally(count, 5012) for count in fitting]


def _count(identifier: str, numops: int) -> int:
    """Return the whole number of correct queries of an accuracy in the authors' data."""
    accuracy, total = float(AUTHORS[identifier][f"ops{numops}"]), _queries(numops)
    count = round(accuracy * total / 100)
    assert abs(100 * count / total - accuracy) <= 0.005 + 1e-9
    return count


def _queries(numops: int) -> int:
    return int(AUTHORS_INSTANCES[f"ops{numops}"])


@pytest.mark.parametrize("identifier", AUTHORS)
def test_the_authors_data_is_what_is_published(identifier: str) -> None:
    """Every accuracy is within 0.005 points of a count; the counts are those of the model's row.

    Models of the paper have in Table 6 the very figures of the authors' data.
    """
    repositories = {identifier, f"{identifier}-hf"} if "OLMo" in identifier else {identifier}
    (model,) = (m for m in registry().models.values() if m.huggingface_id in repositories)
    row = published_rows()[model.key]
    assert {n: (t.correct, t.total) for n, t in row.by_numops.items()} == {
        n: (_count(identifier, n), _queries(n)) for n in range(8)
    }
    if row.source == "paper":
        assert [AUTHORS[identifier][c] for c in CELLS] == [TABLE[row.name][c] for c in CELLS]
    else:
        assert row.huggingface_id == identifier


def test_who_measured_what() -> None:
    """The authors' data has 36 models: 28 of the paper's 29, and eight others."""
    sources = [row.source for row in published_rows().values()]
    assert sources == ["paper"] * 29 + ["authors"] * 8
    models = registry().models.values()
    repositories = {e.huggingface_id for m in models for e in (m, *m.alternatives)}
    assert len(AUTHORS) == 36
    assert AUTHORS.keys() <= repositories
    assert [m.key for m in models if m.paper and m.huggingface_id not in AUTHORS] == [
        "codellama-34b-instruct"
    ]
    assert published().keys() == TABLE.keys()
