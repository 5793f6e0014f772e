"""Records made by hand, for the tests of all rooms that compare them."""

import pytest

from benchmark.fingerprints.record import Fingerprint
from fakes.fake_fingerprints import fake_fingerprint


@pytest.fixture
def record() -> Fingerprint:
    """A record in which nothing is wrong, with a floor of a hundredth of a nat."""
    fingerprint: Fingerprint = fake_fingerprint(0.01)
    return fingerprint
