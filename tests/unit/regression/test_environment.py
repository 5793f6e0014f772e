"""What a result says it was made with."""

import platform
from importlib.metadata import version

import pytest

from benchmark.regression import environment


def test_versions_are_those_installed() -> None:
    """Python and the libraries that can change a score are there with their versions."""
    found = environment.versions()
    assert found["python"] == platform.python_version()
    assert {"torch", "transformers", "tokenizers", "outlines", "outlines_core"} <= set(found)
    assert all(version(name) == found[name] for name in found if name != "python")


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is not installed has no version, and is no error."""
    monkeypatch.setattr(environment, "LIBRARIES", ("numpy", "no-such-library"))
    assert set(environment.versions()) == {"python", "numpy"}
