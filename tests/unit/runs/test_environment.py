"""The environment that a result records."""

import platform
from importlib.metadata import version

import pytest

from benchmark.runs import environment


def test_versions_are_those_installed() -> None:
    """The versions of Python and of the libraries that can change a score are recorded."""
    versions = environment.versions()
    assert versions["python"] == platform.python_version()
    assert {"torch", "transformers", "tokenizers", "outlines", "outlines_core"} <= set(versions)
    assert all(version(name) == versions[name] for name in versions if name != "python")


def test_missing_library_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is not installed has no entry and raises no error."""
    monkeypatch.setattr(environment, "libraries", lambda: ("numpy", "no-such-library"))
    assert set(environment.versions()) == {"python", "numpy"}


def test_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that change results are recorded, without secrets and paths."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("TRANSFORMERS_CACHE", "/somewhere")
    monkeypatch.setenv("PYTORCH_SECRET", "x")
    monkeypatch.setenv("LANG", "C")
    variables = environment.variables()
    assert variables["OMP_NUM_THREADS"] == "3"
    assert not {"TRANSFORMERS_CACHE", "PYTORCH_SECRET", "LANG"} & set(variables)


def test_code_digests_cover_every_file() -> None:
    """Each code and data file has a digest, by its path in the package."""
    digests = environment.code_digests()
    assert {"runs/environment.py", "boxes/vocabulary.csv", "__init__.py"} <= set(digests)
    assert all(len(digest) == 12 for digest in digests.values())
