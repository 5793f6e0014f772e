"""The pooled effects of the paper's experiments."""

import pytest

from benchmark.hypotheses.pooled import pooled_experiments
from benchmark.hypotheses.results import EvaluationSetting, Result, Results, published_results
from benchmark.models.published import published
from benchmark.models.registry import registry
from benchmark.records import Outcome
from benchmark.scoring.counts import count
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


@pytest.mark.parametrize(("sequences", "verdict"), [(3, "undecided"), (40, "supported")])
def test_few_sequences_decide_nothing(sequences: int, verdict: str) -> None:
    """Measured pairs that gain are pooled by counts if they have few sequences, with a doubt."""
    pairs = [p for p in registry().pairs.values() if p.paper and p.experiment == "code"]
    gaining = {pair.variant for pair in pairs}
    keys = dict.fromkeys(key for pair in pairs for key in (pair.base, pair.variant))
    entries = (_measured(key, sequences, gains=key in gaining) for key in keys)
    (code,) = pooled_experiments(Results(tuple(entries)))
    assert code.effect.value > 0.2
    assert code.decision.verdict == verdict
    doubt = "" if verdict == "supported" else "3 sequences, at least 20 needed"
    assert code.decision.doubt == doubt


def _measured(key: str, sequences: int, *, gains: bool) -> Result:
    """Return a result by ``exact`` with one state per sequence, in which sequences differ."""
    rights = ((gains or n % 7 == 0, gains and n % 5 > 0, n % 2 == 0) for n in range(sequences))
    outcomes = tuple(Outcome(n, (1, 2, 3), right) for n, right in enumerate(rights))
    return Result(
        model=key,
        setting=EvaluationSetting("constrained", registry().model(key).format),
        by_numops=count(outcomes).by_numops,
        chance={},
        data="a",
        source=key,
        outcomes=outcomes,
        score="exact",
    )
