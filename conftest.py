"""What the whole suite runs under; the benchmark's own plugin comes with its installation."""

import gc
import os

from hypothesis import settings

# One thread a process, and for what tests start too, before anything imports torch: workers of
# xdist that share the cores wait for each other's threads, and small models run tens of times
# slower. The number is also part of the hardware that snapshots are recorded with.
os.environ["OMP_NUM_THREADS"] = "1"

# A deadline would make every property a timed test, on machines of any speed.
settings.register_profile("untimed", settings(deadline=None))
settings.load_profile("untimed")

pytest_plugins = ["pytester"]


def pytest_collection_finish() -> None:
    """Search for garbage seldom, and not in what is loaded by now, torch above all."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
