"""A stage that the project does not have: a row adds it, without changes elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from benchmark.fingerprints import stages
from benchmark.fingerprints.compare import Severity, compare
from benchmark.fingerprints.digests import digest
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.fingerprints.stage import Stage, StageRow
from benchmark.fingerprints.stages import PROMPT_IDS, STAGES
from benchmark.fingerprints.storage import read_fingerprint, readable, write_fingerprint
from benchmark.fingerprints.terminal import headline, summary_lines
from benchmark.prompts import rendering
from benchmark.runs import environment
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from fakes import worked_examples

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "copy-a"
NAME = "prompt_length"
COUNTER = "filelock"
"""An installed library that affects no other stage."""

Row = Callable[..., StageRow]


@pytest.fixture(scope="module")
def row() -> Row:
    """``row(extra=0)``: the stage of docs/extending.md, which counts that many tokens more."""
    edits = worked_examples.examples().edits
    code = next(edit.new for edit in edits if NAME in edit.new)
    scope = dict(vars(stages))
    exec(code[: code.index("CONSTRAINT = ")], scope)  # noqa: S102
    stage: Stage[Sequence[int]] = scope["PROMPT_LENGTH"]

    def changed(extra: int = 0) -> Stage[Sequence[int]]:
        return replace(
            stage,
            make=lambda run: [length + extra for length in stage.make(run)],
            reached_by={"library": {COUNTER: 3}},
        )

    return changed


def _add(patch: pytest.MonkeyPatch, row: StageRow, behind: str) -> None:
    """Insert a row into the table after another one."""
    names = list(STAGES)
    later = names[names.index(behind) + 1 :]
    rows = {row.name: row} | {name: STAGES[name] for name in later}
    for name in reversed(later):  # so that undoing it restores the order
        patch.delitem(STAGES, name)
    for name, stage in rows.items():
        patch.setitem(STAGES, name, stage)


def _record() -> Fingerprint:
    run = RunRequest(
        model=str(MODEL),
        out=Path(),
        data=DataRequest(seed=0, states=2),
        device="cpu",
        max_new_tokens=100,
    )
    return fingerprint(FingerprintRequest(run), Quiet())


@pytest.fixture(scope="module")
def without_stage() -> Fingerprint:
    """A record without the stage."""
    return _record()


@pytest.fixture
def with_stage(monkeypatch: pytest.MonkeyPatch, row: Row) -> Fingerprint:
    """A record with the stage, which then is in the table."""
    _add(monkeypatch, row(), PROMPT_IDS.name)
    return _record()


def test_change_of_a_new_stage(
    with_stage: Fingerprint, row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is recorded, stored and compared, with an example and its suspects."""
    write_fingerprint(with_stage, tmp_path / "old.json")
    old = read_fingerprint(tmp_path / "old.json")
    named = readable(old)["stages"]
    assert isinstance(named, dict)
    assert list(named)[1:5] == ["prompt", "prompt_ids", NAME, "constraint"]
    assert old.stages == with_stage.stages
    assert compare(old, with_stage).severity is Severity.SAME
    monkeypatch.setitem(STAGES, NAME, row(1))
    monkeypatch.setattr(
        environment, "version", lambda name: "99" if name == COUNTER else version(name)
    )
    comparison = compare(old, _record())
    assert (comparison.stage, comparison.severity) == (NAME, Severity.DRIFT)
    assert [diff.stage for diff in comparison.stage_diffs] == [NAME]
    assert headline(comparison) == f"drift: first changed stage: {NAME} (2 of 2 states)"
    assert [(example.state, example.where, example.old) for example in comparison.examples] == [
        (n, NAME, f"digest {digest([length])}") for n, length in enumerate(old.lengths)
    ]
    first, *rest = comparison.suspects
    assert (first.kind, first.name, first.old, first.new) == (
        *("library", COUNTER),
        *(version(COUNTER), "99"),
    )
    assert first.reach == 3
    assert all(suspect.reach < 3 for suspect in rest)


def test_older_record_without_the_new_stage(
    without_stage: Fingerprint,
    with_stage: Fingerprint,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The stage is reported as not compared, also if the table no longer has it."""
    comparison = compare(without_stage, with_stage)
    assert comparison.severity is Severity.SAME
    assert comparison.uncompared == {NAME: "new"}
    assert f"not compared, since only one record has them: {NAME} (only new)" in list(
        summary_lines(comparison)
    )
    write_fingerprint(with_stage, tmp_path / "new.json.gz")
    monkeypatch.undo()
    assert list(STAGES)[2:4] == ["prompt_ids", "constraint"]
    again = read_fingerprint(tmp_path / "new.json.gz")
    assert again.stages == with_stage.stages
    assert compare(without_stage, again).uncompared == {NAME: "new"}


def test_failure_before_the_new_stage(monkeypatch: pytest.MonkeyPatch, row: Row) -> None:
    """The new stage and the later ones name the stage that failed."""

    def broken(*_: object) -> None:
        raise ValueError("no such token")

    monkeypatch.setattr(rendering, "prompt", broken)
    _add(monkeypatch, row(), PROMPT_IDS.name)
    stages = _record().stages
    assert (stages["prompt_ids"].failed or "").startswith("ValueError: no such token")
    assert stages[NAME].failed == stages["generated_ids"].failed == "not reached: prompt_ids failed"
