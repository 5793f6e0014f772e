"""The random baseline by drawing, to compare with its closed form."""

from benchmark.boxes.baseline import BaselineReading
from benchmark.boxes.portable_random import PortableRandom
from benchmark.records import Contents


def predict(reading: BaselineReading, rng: PortableRandom, mentioned: Contents) -> Contents:
    """Return one prediction of the baseline, in the order drawn."""
    pool = mentioned if reading.pool == "mentions" else tuple(dict.fromkeys(mentioned))
    count = rng.choice(range(4))
    if reading.replacement:
        return tuple(rng.choice(pool) for _ in range(count if pool else 0))
    return tuple(rng.sample(pool, min(count, len(pool))))


def is_right(reading: BaselineReading, prediction: Contents, gold: Contents) -> bool:
    """Return whether the prediction is right by the reading's score."""
    if reading.compared == "exact":
        return prediction == gold
    return set(prediction) == set(gold)
