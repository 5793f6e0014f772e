"""Records made by hand, for the tests of all rooms that compare them."""

from collections.abc import Callable
from types import ModuleType

import pytest

from benchmark.fingerprints.record import Fingerprint


@pytest.fixture
def hand(fakes: Callable[[str], ModuleType]) -> ModuleType:
    """The module that makes records by hand."""
    return fakes("fake_record")


@pytest.fixture
def record(hand: ModuleType) -> Fingerprint:
    """A record in which nothing is wrong, with a floor of a hundredth of a nat."""
    made: Fingerprint = hand.fake_record(0.01)
    return made
