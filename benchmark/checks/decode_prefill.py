"""``check decode-prefill``: are log-probabilities while decoding those of a pass over the same ids?

The ids of an answer are scored as they were generated. Their text is never encoded again, which
would be another sequence.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.checks.arrangements import first_arrangement
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
from benchmark.errors import SettingError
from benchmark.fingerprints.noise import NoiseFloor
from benchmark.runs.requests import Speaker

_NAME = "prefill"
_SHIFTS = (-1, 1)
_MOST = 0.5
"""A shift explains the differences if it leaves fewer than this share of them."""

Scored = TokenLogProbs | OtherIdsError


def check_decode_prefill(subject: Subject, progress: Speaker) -> CheckResult:
    """Return where an engine's two ways to a log-probability differ.

    Noise is what rounding in the dtype explains, and at least four times what two prefills in
    different batches differ by.

    Raises:
        SettingError: if the engine does not tell both, or not for a single token.
    """
    count = len(subject.prompts)
    first = first_arrangement(count, subject.together)
    if not subject.engine.scores:
        raise SettingError(
            f"{subject.name}: tells no log-probabilities of given ids, which this check compares"
        )
    progress.say(f"{subject.name}: decoding {count} prompts")
    answers = subject.engine.decoded(subject.prompts, first)
    if all(answer.values is None for answer in answers):
        raise SettingError(
            f"{subject.name}: tells no log-probabilities while decoding, which this check compares"
        )
    pairs = zip(subject.prompts, answers, strict=True)
    rows = [ForcedSequence(prompt, answer.token_ids) for prompt, answer in pairs]
    progress.say(f"{subject.name}: one pass over each prompt and answer")
    scored = subject.engine.scored(rows, first, OTHERS)
    alone = Arrangement("one at a time", tuple(range(count))[::-1], 1)
    again = subject.engine.scored(rows, alone, OTHERS)
    noise = max(map(_apart, scored, again), default=0.0)
    floor = max(NoiseFloor(noise).largest, rounding_bound(dtype_named(subject.dtype)))
    return _result(subject, answers, scored, floor)


def _result(
    subject: Subject, answers: Sequence[DecodedAnswer], scored: Sequence[Scored], floor: float
) -> CheckResult:
    apart = [_differences(*pair) for pair in zip(answers, scored, strict=True)]
    sizes = np.concatenate([part[~np.isnan(part)] for part in apart])
    if not len(sizes) and not any(isinstance(row, OtherIdsError) for row in scored):
        raise SettingError(
            f"{subject.name}: no token has a log-probability both while decoding and in a pass "
            "over prompt and answer; take a version of the engine that tells them"
        )
    return CheckResult(
        check="decode-prefill",
        subject=subject.name,
        answers=len(answers),
        places=len(sizes),
        largest=float(sizes.max(initial=0.0)),
        floor=floor,
        differences=tuple(_listed(answers, scored, apart, floor)),
        notes=_shift_notes(answers, scored, floor),
    )


def _listed(
    answers: Sequence[DecodedAnswer],
    scored: Sequence[Scored],
    apart: Sequence[NDArray[np.float64]],
    floor: float,
) -> Iterator[Difference]:
    for state, (answer, row, sizes) in enumerate(zip(answers, scored, apart, strict=True)):
        if isinstance(row, OtherIdsError):
            token = answer.token_ids[row.place : row.place + 1] if row.place >= 0 else ()
            yield Difference(state, row.place, "ids", None, token, _NAME)
            continue
        for place in np.flatnonzero(sizes > floor).tolist():
            token = (answer.token_ids[place],)
            yield Difference(state, place, "decoding", float(sizes[place]), token, _NAME)


def _differences(answer: DecodedAnswer, row: Scored, shift: int = 0) -> NDArray[np.float64]:
    """Return the differences at each place; NaN where one of the two is not known."""
    if isinstance(row, OtherIdsError) or answer.values is None:
        return np.full(len(answer.token_ids), np.nan)
    prefill = row.values[:, 0]
    if shift:
        shifted = np.full_like(prefill, np.nan)
        if shift > 0:
            shifted[:-shift] = prefill[shift:]
        else:
            shifted[-shift:] = prefill[:shift]
        prefill = shifted
    return distances(answer.values, prefill)


def _shift_notes(
    answers: Sequence[DecodedAnswer], scored: Sequence[Scored], floor: float
) -> tuple[str, ...]:
    """Return a line if the log-probabilities of neighbouring places agree instead."""
    pairs = list(zip(answers, scored, strict=True))

    def share(shift: int) -> float:
        apart = np.concatenate([_differences(*pair, shift) for pair in pairs])
        known = apart[~np.isnan(apart)]
        return float((known > floor).mean()) if len(known) else 1.0

    present = share(0)
    for shift in _SHIFTS:
        if present > _MOST and share(shift) < _MOST * present:
            place = "previous" if shift > 0 else "next"
            return (f"the prefill's values are those of the {place} place",)
    return ()


def _apart(one: Scored, two: Scored) -> float:
    """Return the largest difference of the answer's own tokens between two prefills."""
    if isinstance(one, OtherIdsError) or isinstance(two, OtherIdsError):
        return 0.0
    apart = distances(one.values[:, 0], two.values[:, 0])
    return float(apart[np.isfinite(apart)].max(initial=0.0))
