"""Settings of all tests. The benchmark's own plugin is loaded because it is installed."""

import gc
import os

from hypothesis import settings

# One thread per process and subprocess, set before torch is imported: with more threads, xdist's
# workers on shared cores wait for each other, and small models run tens of times slower. The number
# of threads is also part of the hardware that snapshots are recorded on.
os.environ["OMP_NUM_THREADS"] = "1"

# A deadline would make property tests depend on the speed of the machine.
settings.register_profile("untimed", settings(deadline=None))
settings.load_profile("untimed")

pytest_plugins = ["pytester"]


def pytest_collection_finish() -> None:
    """Run the garbage collector rarely, and not on the objects loaded so far (mostly torch's)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
