"""The outcome of a reproduction in lines and as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from textwrap import wrap

from benchmark.hypotheses.pair_verdict import PairVerdict
from benchmark.models.registry_types import Pair
from benchmark.reproduction.cluster import Measured
from benchmark.reproduction.scheduling import Outcome
from benchmark.reproduction.verdicts import PairOutcome, PairReport

_WIDTH = 80

P_NOTE = "p: of each pair alone; claims adjusts them over the pairs of an experiment (Holm)"
"""The note below the verdicts on several pairs."""


def summary_lines(models: Mapping[str, Outcome], pairs: Iterable[PairOutcome]) -> Iterator[str]:
    """Yield a line per model that is not measured and per pair, of at most 80 columns."""
    pairs = [*pairs]
    for name, outcome in models.items():
        if not isinstance(outcome, Measured):
            what = "skipped" if outcome.skipped else "FAILED"
            yield from wrapped(f"{what}: {name}: {outcome.reason}")
    for pair in pairs:
        yield from wrapped(_pair_line(pair))
    if sum(isinstance(pair, PairReport) for pair in pairs) > 1:
        yield P_NOTE


def _pair_line(outcome: PairOutcome) -> str:
    pair = outcome.pair
    if not isinstance(outcome, PairReport):
        return f"{pair.id:<32} not judged: {outcome.reason}"
    line = verdict_words(pair, outcome.verdict)
    return "; ".join([line, *outcome.departures])


def verdict_words(pair: Pair, verdict: PairVerdict) -> str:
    """Return the pair's identifier, its hypothesis and the verdict in one line."""
    return f"{pair.id:<32} {pair.hypothesis}: {verdict.words}"


def wrapped(line: str) -> list[str]:
    """Return a line in lines of at most 80 columns."""
    return wrap(line, _WIDTH, subsequent_indent="    ")


def models_as_json(models: Mapping[str, Outcome]) -> dict[str, object]:
    """Return what became of each model, by its key."""
    return {name: _model_as_json(outcome) for name, outcome in models.items()}


def _model_as_json(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Measured):
        return {"status": "measured", "folder": str(outcome.folder)}
    return {"status": "skipped" if outcome.skipped else "failed", "reason": outcome.reason}


def pairs_as_json(pairs: Iterable[PairOutcome]) -> dict[str, object]:
    """Return the verdict on each pair and what fails, by its identifier."""
    return {outcome.pair.id: _pair_as_json(outcome) for outcome in pairs}


def _pair_as_json(outcome: PairOutcome) -> dict[str, object]:
    own = {"hypothesis": outcome.pair.hypothesis}
    if not isinstance(outcome, PairReport):
        return {**own, "verdict": None, "reason": outcome.reason, "problems": []}
    verdict = outcome.verdict
    return {
        **own,
        "verdict": verdict.status,
        "reason": verdict.reason,
        "figures": verdict.figures,
        "holds": verdict.holds,
        "problems": list(outcome.problems),
    }
