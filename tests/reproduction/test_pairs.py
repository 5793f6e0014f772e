"""The paper's pairs, one case per pair; they need GPUs, or ``--device cpu`` and small models."""

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.hypotheses.pair_verdict import departures, judge, published_model
from benchmark.models.registry import load_registry
from benchmark.models.registry_types import Pair
from benchmark.pytest_plugin import MeasurePair, verdict_line
from benchmark.pytest_plugin.options import margin
from benchmark.pytest_plugin.snapshots.kinds import kind_of_run
from benchmark.pytest_plugin.snapshots.pairs import is_recorded, pair_extension
from benchmark.runs.paired_comparison import compare
from benchmark.stats.constants import CLOSE_MARGIN
from benchmark.tasks import task_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one case per pair of the registry or of the user's own."""
    pairs = load_registry(metafunc.config.getoption("--registry")).pairs
    metafunc.parametrize("pair", pairs.values(), ids=pairs)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")  # a library's warning must not end hours of measuring
def test_pair(
    pair: Pair,
    measure_pair: MeasurePair,
    snapshot: SnapshotAssertion,
    request: pytest.FixtureRequest,
) -> None:
    """The pair's hypothesis holds, and both models have the recorded or published accuracy."""
    models = load_registry(request.config.getoption("--registry")).models
    base, variant = measure_pair(models[pair.base], models[pair.variant])
    task = task_of(base.identity).name
    limit = margin(request.config, CLOSE_MARGIN)
    verdict = judge(pair, compare(base, variant).tests, task, limit)
    request.node.user_properties.append(verdict_line(pair, verdict))
    problems = [f"{pair.hypothesis}: {verdict.words}"] if verdict.holds is False else []
    extension = pair_extension(kind_of_run(base.identity))
    if is_recorded(request.node, extension) or request.config.getoption("update_snapshots"):
        record = {"base": base.document_of_record(), "variant": variant.document_of_record()}
        assert record == snapshot.use_extension(extension), problems
    else:
        for key, measured in ((pair.base, base), (pair.variant, variant)):
            if published := published_model(key):
                problems += departures(published, measured.scores, task)
    assert not problems, "; ".join(problems)
    if verdict.holds is None:
        pytest.skip(verdict.words)
