"""Log-probabilities along recorded answers, and the difference of two records of them.

Each position has the recorded token and the likeliest others. Values are stored as multiples of
:data:`RESOLUTION`, the smallest difference that a record can show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESOLUTION = 2.0**-12
"""The step of stored log-probabilities, in nats."""

LOWEST = -60.0
"""The lowest log-probability that is stored, also that of impossible tokens."""

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """Tokens and their log-probabilities at every answer position of every state.

    ``ids`` and ``steps`` have shape (positions, 1 + others), the recorded token first; ``lengths``
    has the number of positions of each state.
    """

    ids: IntArray
    steps: IntArray
    lengths: tuple[int, ...]

    @property
    def values(self) -> FloatArray:
        """Natural logarithms, shape (positions, 1 + others)."""
        return self.steps.astype(np.float64) * RESOLUTION

    def state(self, number: int) -> tuple[IntArray, IntArray]:
        """Return ids and steps of one state."""
        start = sum(self.lengths[:number])
        part = slice(start, start + self.lengths[number])
        return self.ids[part], self.steps[part]


@dataclass(frozen=True, slots=True)
class LogitDiff:
    """The difference of one state's log-probabilities.

    ``largest`` is the largest absolute difference in nats, at ``position``; for a token that only
    one record has, a lower bound. ``divergence`` is the sum over ``positions`` of KL(old, new) of
    the tokens that both records have, with all other tokens as one.
    """

    largest: float
    position: int
    divergence: float
    positions: int


def rounded(values: FloatArray) -> IntArray:
    """Return log-probabilities in steps; NaN counts as the lowest."""
    clean = np.nan_to_num(values, nan=LOWEST, neginf=LOWEST, posinf=0.0)
    return np.rint(np.maximum(clean, LOWEST) / RESOLUTION).astype(np.int32)


def concatenate_states(ids: Sequence[IntArray], values: Sequence[FloatArray]) -> Logits:
    """Concatenate the states' tokens and log-probabilities, each (positions, 1 + others)."""
    lengths = tuple(map(len, ids))
    return Logits(np.concatenate(ids), rounded(np.concatenate(values)), lengths)


def logit_diff(old: tuple[IntArray, IntArray], new: tuple[IntArray, IntArray]) -> LogitDiff:
    """Return the difference of a state's log-probabilities, up to where the answers diverge.

    Args:
        old: ids and steps of the state in the old record.
        new: ids and steps of the state in the new record.

    A token that only one record has was at most as likely in the other as the least likely token
    there, so that its distance from that token is a lower bound of its change. If noise swaps two
    tokens at the edge of those kept, the bound is within the noise.
    """
    (old_ids, old_steps), (new_ids, new_steps) = old, new
    count = common(old_ids[:, 0], new_ids[:, 0])
    count = min(count + 1, len(old_ids), len(new_ids))  # the next has the same text before it
    if not count:
        return LogitDiff(0.0, 0, 0.0, 0)
    same = old_ids[:count, :, None] == new_ids[:count, None, :]
    before = (old_steps[:count] * RESOLUTION)[:, :, None]
    after = (new_steps[:count] * RESOLUTION)[:, None, :]
    differences = np.where(same, np.abs(before - after), 0.0)
    bounds = [
        _lower_bound(old_steps[:count], new_steps[:count], ~same.any(axis=2)),
        _lower_bound(new_steps[:count], old_steps[:count], ~same.any(axis=1)),
    ]
    by_position = np.maximum.reduce([differences.max(axis=(1, 2)), *bounds])
    at = int(by_position.argmax())
    divergence = np.where(same, np.exp(before) * (before - after), 0.0).sum(axis=(1, 2))
    rest = [1 - np.where(same, np.exp(logs), 0.0).sum(axis=(1, 2)) for logs in (before, after)]
    old_rest, new_rest = (np.clip(probability, 1e-9, 1.0) for probability in rest)
    divergence = divergence + old_rest * np.log(old_rest / new_rest)
    return LogitDiff(float(by_position[at]), at, float(np.maximum(divergence, 0).sum()), count)


def _lower_bound(steps: IntArray, others: IntArray, alone: NDArray[np.bool_]) -> FloatArray:
    """Return the least possible change of the tokens that one record has ``alone``.

    ``steps`` are of that record, ``others`` of the other one. In nats, shape (positions,).
    """
    if others.shape[1] == 1:  # the recorded token alone bounds no other token
        return np.zeros(len(steps))
    most = others[:, 1:].min(axis=1, keepdims=True)
    above: IntArray = np.where(alone, steps - most, 0).max(axis=1)
    return np.maximum(above, 0).astype(np.float64) * RESOLUTION


def common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """Return the length of the common prefix of two sequences."""
    count = min(len(one), len(other))
    differing = np.flatnonzero(one[:count] != other[:count])
    return int(differing[0]) if len(differing) else count


def log_probability(logits: Logits, state: int, position: int, token: int) -> float | None:
    """Return a token's recorded log-probability; None if it was not kept."""
    ids, steps = logits.state(state)
    if position >= len(ids):
        return None
    columns = np.flatnonzero(ids[position] == token)
    return float(steps[position, columns[0]] * RESOLUTION) if len(columns) else None
