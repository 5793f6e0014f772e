"""Settings of the whole test suite; loads the benchmark's own plugin."""

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# One thread per process, also in processes that tests start, and set before torch is imported:
# threads of several xdist workers wait for each other, which makes small models tens of times
# slower. The number is also part of the hardware that snapshots are recorded with.
os.environ["OMP_NUM_THREADS"] = "1"

# A deadline would make every property test depend on the speed of the machine.
settings.register_profile("untimed", settings(deadline=None))
settings.load_profile("untimed")

pytest_plugins = ["pytester", "benchmark.pytest_plugin"]


@pytest.hookimpl(tryfirst=True)  # before xdist chooses its default
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Keep each file on one worker of xdist by default, in the order of the files.

    So a tokenizer is loaded once, and the longest tests, those in tests/integration, come first.
    As ``addopts`` these options would be unknown with ``-p no:xdist``. (``--dist=loadgroup`` has no
    effect under pytest 9.2: xdist 3.8 sets an attribute that pytest no longer reads.)
    """
    option = config.option
    if getattr(option, "numprocesses", None) and option.dist == "no":
        option.dist, option.loadscopereorder = "loadfile", False


def pytest_collection_finish() -> None:
    """Collect garbage rarely, and exclude what is loaded by now, above all torch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture
def unfrozen() -> Iterator[None]:
    """Unfreeze what is excluded from garbage collection, and exclude it again afterwards."""
    gc.unfreeze()
    yield
    gc.unfreeze()
    gc.freeze()
