"""What the command line says after Ctrl-C."""

from pathlib import Path

import pytest

from benchmark.cli.app import _stopped


def test_resumable_verb_names_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is that of the option, however it is written, or the default."""
    monkeypatch.chdir(tmp_path)
    saved = "Stopped. Finished states are saved in {}; rerun to resume."
    (tmp_path / "out").mkdir()
    (tmp_path / "runs" / "store").mkdir(parents=True)
    assert _stopped(["run", "--model", "m", "--out", "out"]) == saved.format("out")
    assert _stopped(["run", "--out=out", "--model", "m"]) == saved.format("out")
    assert _stopped(["run", "-o", "out", "--model", "m"]) == saved.format("out")
    assert _stopped(["pair", "a", "b"]) == saved.format("runs/store")
    assert _stopped(["pair", "a", "b", "--store", "out"]) == saved.format("out")
    assert _stopped(["bisect", "torch"]).startswith("Stopped. Finished measurements are saved;")


def test_stopped_before_anything_was_saved(tmp_path: Path) -> None:
    """Without its folder nothing is saved."""
    assert _stopped(["run", "--out", str(tmp_path / "none")]) == "Stopped. Nothing was written."


@pytest.mark.parametrize("verb", ["generate", "fingerprint", "score"])
def test_verb_that_writes_at_its_end(tmp_path: Path, verb: str) -> None:
    """A verb that writes one file at its end has written nothing."""
    out = str(tmp_path / "new.json")
    assert _stopped([verb, "--out", out]) == "Stopped. Nothing was written."


def test_streamed_output_may_be_written_in_part() -> None:
    """Of what went to a pipe or a device nothing is said."""
    assert _stopped(["generate", "--out", "/dev/null"]) == "Stopped."
    assert _stopped(["report", "runs"]) == "Stopped."
