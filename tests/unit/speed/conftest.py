"""Fake engine processes for the tests of speed."""

from types import SimpleNamespace

import pytest

from benchmark.speed import engine_pool
from fakes import fake_engines


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace engine processes with fakes."""
    fake: SimpleNamespace = fake_engines.FakeEngines()
    monkeypatch.setattr(engine_pool, "EngineProcess", fake.process)
    return fake
