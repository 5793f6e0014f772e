"""The paper's pairs, one case per pair; they need GPUs, or ``--device cpu`` and small models."""

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.models.registry import load_registry
from benchmark.models.registry_types import Pair
from benchmark.pytest_plugin import MeasurePair, keep_results, verdict_line
from benchmark.pytest_plugin.options import margin
from benchmark.pytest_plugin.snapshots.kinds import kind_of_run
from benchmark.pytest_plugin.snapshots.pairs import is_recorded, pair_extension, undecided
from benchmark.reproduction.verdicts import report_pair
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
    limit = margin(request.config, CLOSE_MARGIN)
    extension = pair_extension(kind_of_run(base.identity), limit)
    updating = request.config.getoption("update_snapshots")
    recorded = is_recorded(request.node, extension) or updating
    task = task_of(base.identity).name
    report = report_pair(
        pair, base.scores, variant.scores, task, published=not recorded, margin=limit
    )
    verdict, problems = report.verdict, report.problems
    record = {"base": base.document_of_record(), "variant": variant.document_of_record()}
    request.node.user_properties.append(verdict_line(pair, verdict))
    keep_results(request.node, pair, **record)
    doubts = undecided(request.node, extension, record) if recorded and not updating else []
    if recorded and not doubts:
        assert record == snapshot.use_extension(extension), problems
    assert not problems, "; ".join(problems)
    if doubts:
        pytest.skip("; ".join(["undecided on other data than the record's", *doubts]))
    if verdict.holds is None:
        pytest.skip(verdict.words)
