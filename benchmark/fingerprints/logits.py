"""Log-probabilities along recorded answers, and how far two records of them are apart.

At each position there are the recorded token and the likeliest others. Values are kept in whole
steps of :data:`RESOLUTION`, which is what they can be told apart by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESOLUTION = 2.0**-12
"""In nats."""

LOWEST = -60.0
"""Whatever is less likely counts as this: a token that cannot come."""

Whole = NDArray[np.int32]
Real = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Logits:
    """Tokens and their log-probabilities at every answer position of every state.

    ``ids`` and ``steps`` have shape (positions, 1 + others), the recorded token first; ``lengths``
    says how many positions each state has.
    """

    ids: Whole
    steps: Whole
    lengths: tuple[int, ...]

    @property
    def values(self) -> Real:
        """Natural logarithms, shape (positions, 1 + others)."""
        return self.steps.astype(np.float64) * RESOLUTION

    def state(self, number: int) -> tuple[Whole, Whole]:
        """Ids and steps of one state."""
        start = sum(self.lengths[:number])
        part = slice(start, start + self.lengths[number])
        return self.ids[part], self.steps[part]


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one state's log-probabilities moved.

    ``largest`` is the largest absolute difference in nats, at ``position``; of a token that only
    one record has, what it moved at least. ``divergence`` is the sum over ``positions`` of
    KL(old, new) between the tokens that both have, the rest as one.
    """

    largest: float
    position: int
    divergence: float
    positions: int


def rounded(values: Real) -> Whole:
    """Log-probabilities in steps; what is no number counts as the lowest."""
    clean = np.nan_to_num(values, nan=LOWEST, neginf=LOWEST, posinf=0.0)
    return np.rint(np.maximum(clean, LOWEST) / RESOLUTION).astype(np.int32)


def joined(ids: Sequence[Whole], values: Sequence[Real]) -> Logits:
    """The record of states' tokens and log-probabilities, of shape (positions, 1 + others) each."""
    lengths = tuple(len(each) for each in ids)
    return Logits(np.concatenate(ids), rounded(np.concatenate(values)), lengths)


def shift(old: tuple[Whole, Whole], new: tuple[Whole, Whole]) -> Shift:
    """How far a state's log-probabilities moved, up to where the recorded answers part.

    A token that one record has and the other has not was at most as likely there as the least of
    those kept: by what it was above that, it has moved at least. At the edge of what is kept two
    tokens may change places by noise; then it was above by no more than the noise.
    """
    (old_ids, old_steps), (new_ids, new_steps) = old, new
    count = common(old_ids[:, 0], new_ids[:, 0])
    count = min(count + 1, len(old_ids), len(new_ids))  # the next has the same text before it
    if not count:
        return Shift(0.0, 0, 0.0, 0)
    same = old_ids[:count, :, None] == new_ids[:count, None, :]
    before = (old_steps[:count] * RESOLUTION)[:, :, None]
    after = (new_steps[:count] * RESOLUTION)[:, None, :]
    apart = np.where(same, np.abs(before - after), 0.0)
    beyond = [
        _beyond(old_steps[:count], new_steps[:count], ~same.any(axis=2)),
        _beyond(new_steps[:count], old_steps[:count], ~same.any(axis=1)),
    ]
    moved = np.maximum.reduce([apart.max(axis=(1, 2)), *beyond])
    at = int(moved.argmax())
    divergence = np.where(same, np.exp(before) * (before - after), 0.0).sum(axis=(1, 2))
    rest = [1 - np.where(same, np.exp(each), 0.0).sum(axis=(1, 2)) for each in (before, after)]
    old_rest, new_rest = (np.clip(each, 1e-9, 1.0) for each in rest)
    divergence = divergence + old_rest * np.log(old_rest / new_rest)
    return Shift(float(moved[at]), at, float(np.maximum(divergence, 0).sum()), count)


def _beyond(here: Whole, there: Whole, alone: NDArray[np.bool_]) -> Real:
    """By how many nats the tokens that are ``alone`` here moved at least, shape (positions,)."""
    if there.shape[1] == 1:  # the recorded token says nothing of the others
        return np.zeros(len(here))
    most = there[:, 1:].min(axis=1, keepdims=True)
    above: Whole = np.where(alone, here - most, 0).max(axis=1)
    return np.maximum(above, 0).astype(np.float64) * RESOLUTION


def common(one: NDArray[np.int32], other: NDArray[np.int32]) -> int:
    """How many tokens two sequences begin with in common."""
    count = min(len(one), len(other))
    differing = np.flatnonzero(one[:count] != other[:count])
    return int(differing[0]) if len(differing) else count


def log_probability(logits: Logits, state: int, position: int, token: int) -> float | None:
    """What the record says of a token there; None where it is not among those kept."""
    ids, steps = logits.state(state)
    if position >= len(ids):
        return None
    found = np.flatnonzero(ids[position] == token)
    return float(steps[position, found[0]] * RESOLUTION) if len(found) else None
