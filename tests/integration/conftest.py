"""What several files of these tests use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes import warm_python


@pytest.fixture(scope="session")
def warm_programs() -> Iterator[Path]:
    """A folder with ``python`` and ``entity-tracking``, which need not import torch."""
    with warm_python.serving() as folder:
        yield folder
