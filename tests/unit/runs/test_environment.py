"""What a result says it was made with."""

import platform
from importlib.metadata import version

import pytest

from benchmark.runs import environment


def test_versions_are_those_installed() -> None:
    """Python and the libraries that can change a score are there with their versions."""
    found = environment.versions()
    assert found["python"] == platform.python_version()
    assert {"torch", "transformers", "tokenizers", "outlines", "outlines_core"} <= set(found)
    assert all(version(name) == found[name] for name in found if name != "python")


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is not installed has no version, and is no error."""
    monkeypatch.setattr(environment, "libraries", lambda: ("numpy", "no-such-library"))
    assert set(environment.versions()) == {"python", "numpy"}


def test_variables_are_those_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes how libraries compute is recorded; secrets and places are not."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("TRANSFORMERS_CACHE", "/somewhere")
    monkeypatch.setenv("PYTORCH_SECRET", "x")
    monkeypatch.setenv("LANG", "C")
    found = environment.variables()
    assert found["OMP_NUM_THREADS"] == "3"
    assert not {"TRANSFORMERS_CACHE", "PYTORCH_SECRET", "LANG"} & set(found)


def test_code_is_every_file_of_the_project() -> None:
    """Code and data files have a digest each, by their path in the package."""
    found = environment.code_digests()
    assert {"runs/environment.py", "boxes/vocabulary.csv", "__init__.py"} <= set(found)
    assert all(len(digest) == 12 for digest in found.values())
