"""An upgrade over several models: folders of records, one decision, and the models that changed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import DataError, SettingError
from benchmark.fingerprints.comparison import Severity
from benchmark.fingerprints.storage import write_fingerprint
from benchmark.records import Outcome
from benchmark.upgrades.joint import compare_folders, upgrade_lines
from fakes.fake_fingerprints import by_all_scores, fake_fingerprint

_LOST = (
    Outcome(1, (0, 1), (False, False)),
    Outcome(1, (0, 2), (True, True)),
    Outcome(2, (1, 1), (False, False)),
)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the records of three models, of which one lost a query."""
    old, new = tmp_path / "old", tmp_path / "new"
    record = fake_fingerprint()
    changed = replace(record, scores=by_all_scores(_LOST))
    for folder in (old, new):
        folder.mkdir()
        write_fingerprint(record, folder / "one.json.gz")
        write_fingerprint(record, folder / "two.json")
    write_fingerprint(record, old / "three.json.gz")
    write_fingerprint(changed, new / "three.json.gz")
    return old, new


def test_one_decision_over_three_models(folders: tuple[Path, Path]) -> None:
    """The worst model decides the exit status; two sequences are too few for a test."""
    upgrade = compare_folders(*folders, margin=0.02)
    assert list(upgrade.comparisons) == ["one", "three", "two"]
    severities = [diff.severity for diff in upgrade.comparisons.values()]
    assert severities == [Severity.SAME, upgrade.severity, Severity.SAME]
    assert (upgrade.exit_status, upgrade.joint is None) == (4, False)
    lines = list(upgrade_lines(upgrade))
    assert lines[:4] == [
        "regression: 3 models",
        "outcomes of the upgrade: p 1",
        "all are equal within 2 points: undecided (2 sequences, at least 20 needed)",
        "none is worse by 2 points: undecided (2 sequences, at least 20 needed)",
    ]
    (heading,) = (line.split() for line in lines if line.startswith("model "))
    assert heading == ["model", "points", "sees", "p", "adjusted", "severity"]
    (row,) = (line.split() for line in lines if line.startswith("one "))
    assert row[2] == "\N{EN DASH}"
    assert "sees: points that the test of the row alone would find (power 80 %)" in lines
    assert "warning: 3 states show only large effects; measure 64 or more" in lines
    assert any(line.startswith("three: regression") for line in lines)
    assert max(map(len, lines[:-1])) <= 80
    document = upgrade.as_json()
    assert document["exit_status"] == 4
    joint = document["joint"]
    assert isinstance(joint, dict)
    assert joint["p_adjusted"].keys() == {"one", "two", "three", "all models"}
    assert joint["together"]["p"] == joint["p_adjusted"]["all models"]
    assert joint["warning"].startswith("warning: 3 states")


def test_a_single_model_is_one_model(folders: tuple[Path, Path]) -> None:
    """The first line counts the models in English."""
    for folder in folders:
        for path in [*folder.glob("three.*"), *folder.glob("two.*")]:
            path.unlink()
    assert next(upgrade_lines(compare_folders(*folders))) == "same: 1 model"


def test_folders_must_have_the_same_records(folders: tuple[Path, Path], tmp_path: Path) -> None:
    """A record without a partner is named, and so is a folder without records."""
    shutil.copy(folders[1] / "one.json.gz", folders[1] / "one.json")
    with pytest.raises(SettingError, match=r"one\.json and one\.json\.gz: two records of one"):
        compare_folders(*folders)
    (folders[1] / "one.json").unlink()
    (folders[1] / "three.json.gz").unlink()
    with pytest.raises(SettingError, match=r"old has a record three and .*new has none"):
        compare_folders(*folders)
    shutil.rmtree(folders[1])
    folders[1].mkdir()
    with pytest.raises(DataError, match="no fingerprints"):
        compare_folders(tmp_path / "new", folders[0])
