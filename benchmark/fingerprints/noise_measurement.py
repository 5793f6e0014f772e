"""Measure the noise floor of a record, with different batches, orders and numbers of threads."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmark.fingerprints.inference import LoadedModel, decoded, log_probabilities
from benchmark.fingerprints.logits import Logits, logit_diff
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Fingerprint
from benchmark.models.hardware import torch_threads
from benchmark.records import Outcome
from benchmark.runs.requests import Progress, Quiet
from benchmark.stats.constants import fresh_rng

OutcomesByScore = Mapping[str, Sequence[Outcome]]

_THREADS = (1, 2, 4)
"""Numbers of threads, as far as there are cores; more threads would wait for each other."""


def repeated(
    record: Fingerprint,
    loaded: LoadedModel | None,
    repeats: int,
    progress: Progress,
) -> Fingerprint:
    """Return the record with its repeats; unchanged if logits or answers failed."""
    if loaded is None or record.logits is None or not record.outcomes:
        if repeats:
            progress.say("no noise floor: the record has no log-probabilities or no answers")
        return record
    rng = fresh_rng()
    measured = []
    for number in range(repeats):
        progress.say(f"noise floor: repeat {number + 1} of {repeats}")
        measured.append(_repeat(record, record.logits, loaded, number, rng))
    return replace(record, repeats=tuple(measured))


def variation(number: int, batch_size: int, states: int) -> tuple[int, int, str]:
    """Return batch size, threads and order of a repeat, such that no two repeats are equal.

    Each round over the batch sizes combines them with different numbers of threads. Every second
    repeat of the first round reverses the states, all others shuffle them: reversing them a second
    time with the same batch size would repeat the same computation.
    """
    sizes = sorted({1, max(1, batch_size // 2), min(2 * batch_size, states), min(3, states)})
    threads = [count for count in _THREADS if count <= (os.cpu_count() or 1)]
    reverse = number % 2 == 0 and number < len(sizes)
    order = "reversed" if reverse else "shuffled"
    round_, index = divmod(number, len(sizes))
    return sizes[index], threads[(index + round_) % len(threads)], order


def _repeat(
    record: Fingerprint,
    before: Logits,
    loaded: LoadedModel,
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
    logit_diffs = [logit_diff(before.state(i), logits.state(i)) for i in range(count)]
    return Repeat(
        batch_size=size,
        threads=threads,
        order=name,
        largest=max(diff.largest for diff in logit_diffs),
        divergence=sum(s.divergence for s in logit_diffs)
        / max(1, sum(s.positions for s in logit_diffs)),
        outputs=sum(a != b for a, b in zip(record.texts, texts, strict=True)),
        flips=_flips(record.scores, loaded.questions.outcomes(texts)),
    )


def _flips(before: OutcomesByScore, after: OutcomesByScore) -> int:
    """Return the number of queries whose outcome by any score flipped."""
    flipped = {
        (state, query)
        for by in before
        for state, pair in enumerate(zip(before[by], after[by], strict=True))
        for query, (was, is_) in enumerate(zip(*(one.correct for one in pair), strict=True))
        if was != is_
    }
    return len(flipped)
