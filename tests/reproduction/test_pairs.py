"""The paper's reproduction, a case a pair; it needs GPUs, or ``--device cpu`` and small models."""

import pytest
from syrupy.assertion import SnapshotAssertion

from benchmark.models.registry import Pair
from benchmark.pipeline.comparison import compare
from benchmark.pipeline.pairs import departures, judge, published_model
from benchmark.pytest_plugin import Measure, pair_parameters, verdict_line, wanted_registry
from benchmark.snapshots.pairs import PairExtension, hardware_name, is_recorded


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A case a pair of the registry, and of the user's own."""
    metafunc.parametrize("pair", pair_parameters(wanted_registry(metafunc.config)))


@pytest.mark.gpu
def test_pair(
    pair: Pair, measure: Measure, snapshot: SnapshotAssertion, request: pytest.FixtureRequest
) -> None:
    """The pair's hypothesis holds, and both models score what is recorded or published of them."""
    models = wanted_registry(request.config).models
    base, variant = measure(models[pair.base]), measure(models[pair.variant])
    verdict = judge(pair, compare(base, variant))
    request.node.user_properties.append(verdict_line(pair, verdict.figures, holds=verdict.holds))
    problems = [] if verdict.holds else [f"not {pair.hypothesis}: {verdict.figures}"]
    name = hardware_name(base.identity)
    if is_recorded(request.node, name) or request.config.getoption("update_snapshots"):
        record = {"base": base.document_of_record(), "variant": variant.document_of_record()}
        assert record == snapshot.use_extension(PairExtension)(name=name), problems
    else:
        for key, measured in ((pair.base, base), (pair.variant, variant)):
            if published := published_model(key):
                problems += departures(published, measured)
    assert not problems, "; ".join(problems)
