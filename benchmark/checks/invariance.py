"""``check invariance``: do answers and log-probabilities depend on the other prompts of a batch?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from benchmark.checks.arrangements import arrangements, first_arrangement
from benchmark.checks.findings import CheckResult, Difference, distances
from benchmark.checks.subject import OTHERS, Subject
from benchmark.decoding.log_probs import (
    Arrangement,
    DecodedAnswer,
    ForcedSequence,
    OtherIdsError,
    TokenLogProbs,
)
from benchmark.decoding.logit_tolerance import dtype_named, rounding_bound
from benchmark.fingerprints.logits import LogitDiff, logit_diff, rounded
from benchmark.fingerprints.noise import NoiseFloor
from benchmark.runs.requests import Speaker
from benchmark.stats.constants import fresh_rng

_SIDES = 2
"""A margin is the difference of two log-probabilities, and rounding moves both."""

Scored = TokenLogProbs | OtherIdsError


@dataclass(frozen=True, slots=True)
class _Measured:
    """Answers and log-probabilities in one arrangement; ``scored`` is empty if there are none."""

    arrangement: Arrangement
    answers: Sequence[DecodedAnswer]
    scored: Sequence[Scored]


@dataclass
class _Comparison:
    """Collects what differs from the first arrangement."""

    first: _Measured
    places: int = 0
    largest: float = 0.0
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: _Measured) -> None:
        """Compare another arrangement."""
        for difference in self._differences(other):
            self.largest = max(self.largest, _log_prob_size(difference))
            self.differences.append(difference)

    def _differences(self, other: _Measured) -> Iterator[Difference]:
        name = other.arrangement.name
        for state, (one, two) in enumerate(zip(self.first.answers, other.answers, strict=True)):
            same = _common(one, two)
            if one.token_ids != two.token_ids:
                tokens = (*one.token_ids[same : same + 1], *two.token_ids[same : same + 1])
                size = self._margin(state, same, tokens)
                yield Difference(state, same, "answer", size, tokens, name)
            if one.values is not None and two.values is not None:
                apart = distances(one.values[:same], two.values[:same])
                self.places += int((~np.isnan(apart)).sum())
                if not np.isnan(apart).all() and (size := float(np.nanmax(apart))):
                    place = int(np.nanargmax(apart))
                    token = one.token_ids[place]
                    yield Difference(state, place, "decoding", size, (token,), name)
        yield from self._of_prefill(other)

    def _of_prefill(self, other: _Measured) -> Iterator[Difference]:
        name = other.arrangement.name
        for state, (one, two) in enumerate(zip(self.first.scored, other.scored, strict=True)):
            path = self.first.answers[state].token_ids
            if isinstance(one, OtherIdsError) or isinstance(two, OtherIdsError):
                place = one.place if isinstance(one, OtherIdsError) else _place(two)
                token = path[place : place + 1] if place >= 0 else ()
                yield Difference(state, place, "ids", None, token, name)
                continue
            places = np.flatnonzero(~np.isnan(distances(one.values[:, 0], two.values[:, 0])))
            diff = _diff(one, two, places)
            self.places += diff.positions
            if diff.largest:
                place = int(places[diff.position])
                yield Difference(state, place, "prefill", diff.largest, (path[place],), name)

    def _margin(self, state: int, place: int, tokens: tuple[int, ...]) -> float | None:
        """Return how much likelier the first token is than the second, if both are known."""
        scored = self.first.scored[state] if self.first.scored else None
        if not isinstance(scored, TokenLogProbs) or len(tokens) < _SIDES:
            return None
        columns = np.flatnonzero(scored.ids[place] == tokens[1])
        values = scored.values[place]
        return float(values[0] - values[columns[0]]) if len(columns) else None


def check_invariance(subject: Subject, variations: int, progress: Speaker) -> CheckResult:
    """Return how an engine's answers depend on batches and orders.

    The first arrangement is measured twice: what differs between the two, times four, is noise,
    and at least the resolution of a fingerprint. A near tie is within this noise, or within
    what rounding in the dtype explains.
    """
    count = len(subject.prompts)
    first = first_arrangement(count, subject.together)
    progress.say(f"{subject.name}: {first.name}")
    base = _measured(subject, first, None)
    again = _Comparison(base)
    again.add(_measured(subject, first, base))
    comparison = _Comparison(base)
    for arrangement in islice(arrangements(count, subject.together, fresh_rng()), variations):
        progress.say(f"{subject.name}: {arrangement.name}")
        comparison.add(_measured(subject, arrangement, base))
    floor = NoiseFloor(again.largest).largest
    # Not by what the arrangements differ by: a fault would set its own tolerance.
    rounding = _SIDES * max(floor, rounding_bound(dtype_named(subject.dtype)))
    unsteady = [one for one in again.differences if one.kind in {"answer", "ids"}]
    return CheckResult(
        check="invariance",
        subject=subject.name,
        answers=count * variations,
        places=comparison.places,
        largest=comparison.largest,
        floor=floor,
        differences=_beyond(unsteady + comparison.differences, rounding, floor),
        notes=_notes(subject, base, unsteady),
    )


def _measured(subject: Subject, arrangement: Arrangement, first: _Measured | None) -> _Measured:
    """Decode, and score the answers of the first arrangement."""
    answers = subject.engine.decoded(subject.prompts, arrangement)
    followed = first.answers if first else answers
    pairs = zip(subject.prompts, followed, strict=True)
    rows = [ForcedSequence(prompt, answer.token_ids) for prompt, answer in pairs]
    scored = subject.engine.scored(rows, arrangement, OTHERS) if subject.engine.scores else ()
    return _Measured(arrangement, answers, scored)


def _beyond(
    differences: Sequence[Difference], rounding: float, floor: float
) -> tuple[Difference, ...]:
    """Return answers that differ, and log-probabilities that differ beyond the floor.

    Answers that differ at a margin of at most ``rounding`` nats are near ties.
    """
    kept = []
    for one in differences:
        if one.kind == "answer" and one.size is not None and abs(one.size) <= rounding:
            kept.append(replace(one, kind="near tie"))
        elif one.kind in {"answer", "ids"} or (one.size or 0.0) > floor:
            kept.append(one)
    return tuple(kept)


def _notes(subject: Subject, base: _Measured, unsteady: Sequence[Difference]) -> tuple[str, ...]:
    notes = []
    if not subject.engine.scores:
        notes.append("the engine tells no log-probabilities of given ids: answers are compared")
    if all(answer.values is None or np.isnan(answer.values).all() for answer in base.answers):
        notes.append("the engine tells no log-probabilities while decoding")
    if unsteady:
        notes.append("answers differ between two equal requests")
    return tuple(notes)


def _place(scored: Scored) -> int:
    return scored.place if isinstance(scored, OtherIdsError) else 0


def _log_prob_size(difference: Difference) -> float:
    return difference.size or 0.0 if difference.kind in {"decoding", "prefill"} else 0.0


def _common(one: DecodedAnswer, two: DecodedAnswer) -> int:
    pairs = zip(one.token_ids, two.token_ids, strict=False)
    shorter = min(len(one.token_ids), len(two.token_ids))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), shorter)


def _diff(one: TokenLogProbs, two: TokenLogProbs, places: NDArray[np.intp]) -> LogitDiff:
    """Return the difference at these places, at which both engines tell the answer's token."""
    return logit_diff(
        (one.ids[places], rounded(one.values[places])),
        (two.ids[places], rounded(two.values[places])),
    )
