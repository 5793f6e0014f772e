"""The control models: an effect is detected, and none is detected without one.

These are cases like the paper's in ``test_pairs.py``, on a CPU. They say nothing about code.
"""

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.hypotheses.pair_verdict import judge
from benchmark.models.registry import read_registry
from benchmark.models.registry_types import Pair
from benchmark.pytest_plugin import verdict_line
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension
from benchmark.runs.model_store import ModelStore
from benchmark.runs.paired_comparison import compare
from benchmark.runs.requests import DataRequest, Quiet, RunRequest, registered
from benchmark.runs.run_result import RunResult
from benchmark.tasks import DEFAULT

CONTROLS = read_registry(Path(__file__).parents[2] / "fixtures" / "models" / "registry.toml")

Control = Callable[[str], RunResult]


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Control:
    """``control(key)``: a control model on the whole evaluated set of seed 0, measured once."""
    store = ModelStore(tmp_path_factory.mktemp("store"), Quiet())
    request = RunRequest("", store.folder, DataRequest(seed=0), device="cpu")
    return cache(lambda key: store.measure(registered(CONTROLS, key, request)))


# All on one worker, so that each control is measured once.
@pytest.mark.parametrize("pair", CONTROLS.pairs.values(), ids=lambda pair: pair.id)
def test_pair(
    pair: Pair, control: Control, snapshot: SnapshotAssertion, request: pytest.FixtureRequest
) -> None:
    """The pair's verdict is correct, and both models have the recorded scores."""
    base, variant = control(pair.base), control(pair.variant)
    verdict = judge(pair, compare(base, variant).tests, DEFAULT)
    request.node.user_properties.append(verdict_line(pair, verdict))
    assert verdict.holds, verdict.words
    for key, measured in ((pair.base, base), (pair.variant, variant)):
        record = snapshot.use_extension(MeasurementExtension)(name=key)
        assert measured.document_of_record() == record


@pytest.mark.parametrize("key", CONTROLS.models)
def test_untouched_boxes_are_copied(key: str, control: Control) -> None:
    """Each control is right on at least 95 % of the boxes that no operation changed."""
    assert control(key).summary.by_numops[0].tally.accuracy >= 0.95


@pytest.mark.parametrize("key", ["copy-a", "copy-b"])
def test_copying_is_not_tracking(key: str, control: Control) -> None:
    """A model that copies the initial state is right on at most 15 % of the changed boxes."""
    assert control(key).summary.nontrivial.tally.accuracy <= 0.15


def test_tracking_falls_with_the_operations(control: Control) -> None:
    """``track`` is right on at least 40 %, and on fewer with each operation."""
    summary = control("track").summary
    assert 0.4 <= summary.nontrivial.tally.accuracy <= 0.9
    # From numops 5 on there are too few queries for each step to show.
    accuracies = [summary.by_numops[numops].tally.accuracy for numops in range(5)]
    assert all(before > after for before, after in pairwise(accuracies)), accuracies


def test_the_difference_is_where_operations_are(control: Control) -> None:
    """``copy-a`` and ``track`` differ little on unchanged boxes and much on changed ones."""
    comparison = compare(control("copy-a"), control("track"))
    assert abs(comparison.by_numops[0].difference) <= 0.05
    assert comparison.nontrivial.interval
    assert comparison.nontrivial.interval.low > 0.25
