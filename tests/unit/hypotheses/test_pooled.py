"""The pooled effects of the paper's experiments."""

from benchmark.hypotheses.pooled import pooled_experiments
from benchmark.hypotheses.results import Results, published_results
from benchmark.models.published import published
from benchmark.stats.published import holm


def test_published_experiments() -> None:
    """Code gains on average, and the pairs differ; the p-values are adjusted over three."""
    pooled = pooled_experiments(published_results(published().values()))
    assert [(one.experiment, one.effect.pairs) for one in pooled] == [
        ("code", 5),
        ("math", 5),
        ("alignment", 11),
    ]
    assert [one.decision.p for one in pooled] == holm([one.effect.differs().p for one in pooled])
    code, math, alignment = pooled
    assert 0.1 < code.effect.value < 0.2
    assert abs(math.effect.value) < 0.05
    assert alignment.decision.verdict == "supported"
    assert min(one.effect.i_squared for one in pooled) > 0.8
    assert code.words().startswith("code: +1")
    assert code.as_json()["pairs"] == 5


def test_without_results_there_is_nothing_to_pool() -> None:
    """An experiment of which fewer than three pairs have results is left out."""
    assert pooled_experiments(Results(())) == []
