"""The line that is recorded of an error."""

import sys
from pathlib import Path

import pytest

from benchmark.errors import ModelError
from benchmark.fingerprints.digests import IMPORT_FAILURE, StageRecord
from benchmark.fingerprints.stage_recorder import MissingStageError, line


def _line_of(error: Exception) -> str:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        fail()
    return line(raised.value)


def test_line_has_class_message_and_source() -> None:
    """An ordinary error is no failure on import."""
    text = _line_of(ValueError("no\n such  token"))
    assert text.startswith("ValueError: no such token (")
    assert "test_stage_recorder.py:" in text


def test_missing_stage_has_its_message_only() -> None:
    """It has neither class nor source line."""
    assert _line_of(MissingStageError("not reached: prompt failed")) == "not reached: prompt failed"


def test_import_errors_are_marked() -> None:
    """Also the one behind an error of our own."""
    assert _line_of(ImportError("x")).startswith(f"{IMPORT_FAILURE}ImportError: x (")
    error = ModelError("cannot be loaded")
    error.__cause__ = ModuleNotFoundError("No module named 'x'")
    assert _line_of(error).startswith(f"{IMPORT_FAILURE}ModelError: cannot be loaded")


def test_other_errors_on_import_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module may raise anything while it is imported; the same error later is not marked."""
    (tmp_path / "broken_module.py").write_text("def f(): raise AttributeError('y')\n\nf()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(AttributeError) as raised:
        __import__("broken_module")
    assert line(raised.value).startswith(f"{IMPORT_FAILURE}AttributeError: y (")
    assert "broken_module" not in sys.modules
    assert _line_of(AttributeError("y")).startswith("AttributeError: y (")


@pytest.mark.parametrize(
    ("stage", "on_import"),
    [
        (StageRecord(failed=f"{IMPORT_FAILURE}ImportError: x"), True),
        (StageRecord(failed=f"gemma: {IMPORT_FAILURE}ImportError: x"), True),
        (StageRecord(("a",), f"gemma: {IMPORT_FAILURE}ImportError: x"), False),
        (StageRecord(failed="ValueError: x"), False),
        (StageRecord(("a",)), False),
    ],
)
def test_stage_that_failed_on_import(stage: StageRecord, on_import: bool) -> None:  # noqa: FBT001
    """Only if it failed for all states, so that there is nothing to compare."""
    assert stage.failed_on_import is on_import
