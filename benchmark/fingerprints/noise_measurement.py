"""The noise floor of a record, measured: the same again in other batches, orders and threads."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.fingerprints.inference import Loaded, decoded, log_probabilities
from benchmark.fingerprints.logits import Logits, shift
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Fingerprint
from benchmark.models.hardware import torch_threads
from benchmark.records import Outcome
from benchmark.runs.requests import Progress, Quiet
from benchmark.stats.constants import fresh_rng

Scores = Mapping[str, Sequence[Outcome]]

_THREADS = (1, 2, 4)
"""As far as there are cores: more threads than those wait for each other."""


def repeated(
    record: Fingerprint,
    loaded: Loaded | None,
    repeats: int,
    progress: Progress,
) -> Fingerprint:
    """The record with so many repeats measured; as it was where logits or output failed."""
    if loaded is None or record.logits is None or not record.outcomes:
        if repeats:
            progress.say("no noise floor: it needs log-probabilities and answers, and lacks one")
        return record
    rng = fresh_rng()
    found = []
    for number in range(repeats):
        progress.say(f"noise floor: repeat {number + 1} of {repeats}")
        found.append(_repeat(record, record.logits, loaded, number, rng))
    return replace(record, repeats=tuple(found))


def variation(number: int, batch_size: int, states: int) -> tuple[int, int, str]:
    """Batch size, threads and order of a repeat; no two that compute the same.

    Each round of the sizes gives each another number of threads. The states are reversed in every
    second repeat of the first round; after it that would be the same again, and they are shuffled.
    """
    sizes = sorted({1, max(1, batch_size // 2), min(2 * batch_size, states), min(3, states)})
    threads = [each for each in _THREADS if each <= (os.cpu_count() or 1)]
    reverse = number % 2 == 0 and number < len(sizes)
    order = "reversed" if reverse else "shuffled"
    turn, place = divmod(number, len(sizes))
    return sizes[place], threads[(place + turn) % len(threads)], order


def _repeat(
    record: Fingerprint,
    before: Logits,
    loaded: Loaded,
    number: int,
    rng: np.random.Generator,
) -> Repeat:
    count = len(record.texts)
    size, threads, name = variation(number, loaded.decoder.settings.limits.batch_size, count)
    order = list(range(count))[::-1] if name == "reversed" else rng.permutation(count).tolist()
    varied = loaded.varied(size, order)
    with torch_threads(threads):
        logits = log_probabilities(varied, record.path, Quiet())
        texts = [completion.text for completion in decoded(varied, Quiet())]
    shifts = [shift(before.state(i), logits.state(i)) for i in range(count)]
    return Repeat(
        batch_size=size,
        threads=threads,
        order=name,
        largest=max(each.largest for each in shifts),
        divergence=sum(s.divergence for s in shifts) / max(1, sum(s.positions for s in shifts)),
        outputs=sum(a != b for a, b in zip(record.texts, texts, strict=True)),
        flips=_flips(record.scores, loaded.questions.outcomes(texts)),
    )


def _flips(before: Scores, after: Scores) -> int:
    """The queries that turned round by any score."""
    turned = {
        (state, query)
        for by in before
        for state, pair in enumerate(zip(before[by], after[by], strict=True))
        for query, (was, is_) in enumerate(zip(*(each.correct for each in pair), strict=True))
        if was != is_
    }
    return len(turned)
