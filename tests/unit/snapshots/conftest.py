"""Records made by hand, for all tests of this room."""

from collections.abc import Callable
from types import ModuleType

import pytest


@pytest.fixture
def hand(fakes: Callable[[str], ModuleType]) -> ModuleType:
    """The module that makes records by hand."""
    return fakes("fake_record")
