"""Portable random draws from a seed."""

import numpy as np

from benchmark.boxes.portable_random import PortableRandom


def draws(seed: int) -> PortableRandom:
    """PortableRandom from a fresh generator."""
    return PortableRandom(np.random.Generator(np.random.PCG64(seed)))
