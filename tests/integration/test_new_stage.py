"""A stage that the project does not have: one row adds it, and no other line is edited."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

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

MODEL = Path(__file__).parents[2] / "fixtures" / "models" / "copy-a"
NAME = "prompt_length"
COUNTER = "filelock"
"""A library that is installed and that no other stage is reached by."""

Row = Callable[..., StageRow]


@pytest.fixture(scope="module")
def row(fakes: Callable[[str], ModuleType]) -> Row:
    """``row(extra=0)``: the stage of docs/extending.md, which counts that many tokens more."""
    edits = fakes("worked_examples").examples().edits
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
    """Put a row into the table behind another one."""
    names = list(STAGES)
    later = names[names.index(behind) + 1 :]
    rows = {row.name: row} | {name: STAGES[name] for name in later}
    for name in reversed(later):  # so that undoing it restores the order
        patch.delitem(STAGES, name)
    for name, each in rows.items():
        patch.setitem(STAGES, name, each)


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
def plain() -> Fingerprint:
    """A record without the stage."""
    return _record()


@pytest.fixture
def with_stage(monkeypatch: pytest.MonkeyPatch, row: Row) -> Fingerprint:
    """A record with the stage, which is in the table from now on."""
    _add(monkeypatch, row(), PROMPT_IDS.name)
    return _record()


def test_a_change_of_the_new_stage_is_named_shown_and_explained(
    with_stage: Fingerprint, row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The record is written and read with it, and a change of what it measures is found there."""
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
    found = compare(old, _record())
    assert (found.stage, found.severity) == (NAME, Severity.DRIFT)
    assert [each.stage for each in found.stage_diffs] == [NAME]
    assert headline(found) == f"drift: it began at {NAME}, which moved in 2 of 2 states"
    assert [(each.state, each.where, each.old) for each in found.examples] == [
        (n, NAME, f"digest {digest([length])}") for n, length in enumerate(old.lengths)
    ]
    first, *rest = found.suspects
    assert (first.kind, first.name, first.old, first.new) == (
        *("library", COUNTER),
        *(version(COUNTER), "99"),
    )
    assert first.reach == 3
    assert all(each.reach < 3 for each in rest)


def test_an_older_record_is_compared_without_the_new_stage(
    plain: Fingerprint, with_stage: Fingerprint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The stage is said to be left out, also where the table does not have it any more."""
    found = compare(plain, with_stage)
    assert found.severity is Severity.SAME
    assert found.uncompared == {NAME: "new"}
    assert f"not compared, since one record has them only: {NAME} (only new)" in list(
        summary_lines(found)
    )
    write_fingerprint(with_stage, tmp_path / "new.json.gz")
    monkeypatch.undo()
    assert list(STAGES)[2:4] == ["prompt_ids", "constraint"]
    again = read_fingerprint(tmp_path / "new.json.gz")
    assert again.stages == with_stage.stages
    assert compare(plain, again).uncompared == {NAME: "new"}


def test_a_stage_that_the_new_one_needs_is_named_where_it_failed(
    monkeypatch: pytest.MonkeyPatch, row: Row
) -> None:
    """A new stage says that it was not reached, and so do those behind it."""

    def broken(*_: object) -> None:
        raise ValueError("no such token")

    monkeypatch.setattr(rendering, "prompt", broken)
    _add(monkeypatch, row(), PROMPT_IDS.name)
    made = _record().stages
    assert (made["prompt_ids"].failed or "").startswith("ValueError: no such token")
    assert made[NAME].failed == made["generated_ids"].failed == "not reached: prompt_ids failed"
