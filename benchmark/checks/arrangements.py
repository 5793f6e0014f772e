"""The batches and orders in which the same prompts are tried."""

from collections.abc import Iterator

import numpy as np

from benchmark.decoding.log_probs import Arrangement


def first_arrangement(prompts: int, together: int) -> Arrangement:
    """Return the arrangement that the others are compared with."""
    return Arrangement(f"in order, {together} together", tuple(range(prompts)), together)


def arrangements(prompts: int, together: int, rng: np.random.Generator) -> Iterator[Arrangement]:
    """Yield arrangements without end; the first ones differ most from the usual one.

    Args:
        prompts: the number of prompts.
        together: how many are computed together in the usual one.
        rng: shuffles them.
    """
    forward = tuple(range(prompts))
    yield Arrangement("in order, one at a time", forward, 1)
    yield Arrangement(f"reversed, {together} together", forward[::-1], together)
    sizes = sorted({max(1, together // 2), min(3, prompts), min(2 * together, prompts)})
    number = 0
    while True:
        size = sizes[number % len(sizes)]
        order = tuple(rng.permutation(prompts).tolist())
        number += 1
        yield Arrangement(f"shuffled {number}, {size} together", order, size)
