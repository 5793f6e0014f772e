"""Who is suspected of what."""

from dataclasses import replace
from types import ModuleType

import pytest

from benchmark.fingerprints.attribution import RAISED, suspects
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stage import StageRow
from benchmark.fingerprints.stages import STAGES
from benchmark.runs.environment import code_digests, libraries
from benchmark.runs.suspect_table import KINDS, table


def test_the_table_names_what_there_is() -> None:
    """Every stage in the table is a stage, every reach 1 to 3, every file a file of the project.

    The same holds for what the stages' own rows name.
    """
    reaches = [reach for kind in table().values() for reach in kind.values()]
    reaches += [reach for row in STAGES.values() for reach in _own(row)]
    assert {stage for reach in reaches for stage in reach} <= set(STAGES)
    assert {number for reach in reaches for number in reach.values()} <= {1, 2, 3}
    files = code_digests()
    assert all(any(file.startswith(name) for file in files) for name in _named_files())
    assert {kind for row in STAGES.values() for kind in row.reached_by} <= set(KINDS)


def _own(row: StageRow) -> list[dict[str, int]]:
    """The reaches that a row names, each as the table has them."""
    named = (reach for kind in row.reached_by.values() for reach in kind.values())
    return [{row.name: reach} for reach in named]


def _named_files() -> tuple[str, ...]:
    """The files and rooms that the table or a stage's own row names."""
    own = (name for row in STAGES.values() for name in row.reached_by.get("code", {}))
    return (*table()["code"], *own)


NO_SUSPECTS = (
    # rooms after the record is made, or beside it
    *(
        "cli/",
        "controls/",
        "export/",
        "hypotheses/",
        "planning/",
        "pytest_plugin/",
        "report/",
        "runs/store/",
        "speed/",
        "stats/",
        "upgrades/",
    ),
    *("__init__.py", "__main__.py", "errors.py", "junit.py", "output.py", "writing.py"),
    # rooms whose other files are named: what is published of models
    *("validation.py", "published.csv", "published.py", "published.toml"),
    # a run's record of itself, and what it shows
    *("baseline_table.py", "environment.py", "identity.py", "measure.py", "model_store.py"),
    *("paired_comparison.py", "paired_table.py", "placement.py", "progress.py"),
    *("progress_notes.py", "result_table.py", "sensitivity.py", "sensitivity_table.py"),
    *("suspect_table.py", "suspects.toml", "migration.py", "moved_files.toml"),
    # both records are compared by the code of now: it cannot make them differ
    *("alignment.py", "allowed.py", "attribution.py", "ci.py", "comparison.py", "compare.py"),
    *("examples.py", "flips.py", "stage_diffs.py", "noise.py", "noise_measurement.py"),
    *("run_environment.py", "summary.py", "terminal.py"),
)
"""What cannot shift a stage: rooms, and the names of files."""


def _is_no_suspect(file: str) -> bool:
    rooms = tuple(each for each in NO_SUSPECTS if each.endswith("/"))
    return file.startswith(rooms) or file.rpartition("/")[2] in NO_SUSPECTS


def test_every_file_is_a_suspect_or_cannot_be_one() -> None:
    """A new file is named by the table, or here with those that shift nothing; never by both."""
    named = _named_files()
    for file in code_digests():
        # A room named as a whole has files that are named by nobody else.
        assert file.startswith(named) or _is_no_suspect(file), f"{file}: add it to suspects.toml"
    known = tuple(code_digests())
    for each in NO_SUSPECTS:
        found = [f for f in known if f.startswith(each) or f.endswith(f"/{each}") or f == each]
        assert found, f"{each}: no such file any more"
    assert not [name for name in named if _is_no_suspect(name)]


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_maker_in_the_project(record: Fingerprint, stage: str) -> None:
    """Where the environments are the same, the files that make the stage are named unchanged."""
    if stage == "weights":
        assert "models/loading.py" in {each.name for each in suspects(record, record, stage)}
    found = suspects(record, record, stage)
    assert found
    assert not any(each.changed for each in found)


def test_libraries_are_ranked_by_their_reach(hand: ModuleType) -> None:
    """Of two libraries that changed, the one that makes the stage comes first."""
    old = hand.fake_record()
    new = hand.fake_record(versions={"torch": "2.14", "outlines_core": "0.3"})
    for stage, first in (("constraint", "outlines_core"), ("logits", "torch")):
        assert suspects(old, new, stage)[0].name == first
    assert [each.reach for each in suspects(old, new, "dataset") if each.changed] == [0, 0]


def test_what_raised_comes_before_what_makes(hand: ModuleType) -> None:
    """A library in whose code the error arose is suspected first, whatever its usual reach."""
    old = hand.fake_record(versions={"tokenizers": "1", "transformers": "4"})
    new = hand.fake_record(versions={"tokenizers": "2", "transformers": "5"})
    stages = {**new.stages, "constraint": StageRecord(failed="KeyError: 'x' (transformers/a.py:7)")}
    first = suspects(old, replace(new, stages=stages), "constraint")[0]
    assert (first.name, first.reach) == ("transformers", RAISED)


def test_a_longer_path_goes_before_a_shorter_one(record: Fingerprint) -> None:
    """A file that the table names itself has its own reach, not that of its folder."""
    old = replace(record, code={"boxes/answers.py": "1", "boxes/world.py": "1"})
    new = replace(record, code={"boxes/answers.py": "2", "boxes/world.py": "2"})
    found = [each for each in suspects(old, new, "constraint") if each.changed]
    assert [(each.name, each.reach) for each in found] == [
        ("boxes/answers.py", 3),
        ("boxes/world.py", 0),
    ]


def test_a_row_names_suspects_of_its_own_stage(
    record: Fingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stage's row names counts as what the table names, for that stage alone."""
    own = {"code": {"report/": 3, "prompts/": 1}, "library": {"torch": 2}}
    monkeypatch.setitem(STAGES, "prompt_ids", replace(STAGES["prompt_ids"], reached_by=own))
    old = replace(record, code={"report/page.py": "1", "prompts/rendering.py": "1"})
    new = replace(record, code={"report/page.py": "2", "prompts/rendering.py": "2"})
    reaches = {each.name: each.reach for each in suspects(old, new, "prompt_ids")}
    assert reaches == {"report/page.py": 3, "prompts/rendering.py": 3}
    reaches = {each.name: each.reach for each in suspects(old, new, "prompt")}
    assert reaches == {"report/page.py": 0, "prompts/rendering.py": 3}
    assert "report/" in {each.name for each in suspects(record, record, "prompt_ids")}
    versions = {**record.environment.versions, "torch": "2.14"}
    moved = replace(record, environment=replace(record.environment, versions=versions))
    assert [each.reach for each in suspects(record, moved, "prompt_ids")] == [2]


def test_the_libraries_of_the_table_are_those_recorded() -> None:
    """What can be suspected is recorded, and the other way round."""
    assert set(libraries()) == set(table()["library"])
