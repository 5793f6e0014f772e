"""The workflows name what there is."""

import json
import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from benchmark.models.registry import registry

ROOT = Path(__file__).parents[2]
WORKFLOW = (ROOT / ".github" / "workflows" / "gpu.yml").read_text(encoding="utf-8")


def test_its_models_are_the_selected_cases_at_pinned_commits() -> None:
    """``-k`` selects exactly the models that are prefetched."""
    (names,) = re.findall(r"^ +MODELS: (.+)$", WORKFLOW, re.MULTILINE)
    (cases,) = re.findall(r"^ +CASES: recorded_way and (\S+)$", WORKFLOW, re.MULTILINE)
    models, pairs = registry().models, registry().pairs.values()
    paired = {key for pair in pairs for key in (pair.base, pair.variant)}
    assert {key for key in paired if cases in key} == set(names.split())
    assert all(models[name].revision for name in names.split())
    assert "def test_models_go_the_recorded_way(" in (
        ROOT / "tests" / "reproduction" / "test_fingerprints.py"
    ).read_text(encoding="utf-8")


def test_the_nightly_canary_tries_what_nox_does() -> None:
    """The default upgrades of the workflow, by hand and by schedule, are those of the session."""
    workflow = (ROOT / ".github" / "workflows" / "canary.yml").read_text(encoding="utf-8")
    (usual,) = re.findall(
        r"upgrades \+= \[(.+)\]", (ROOT / "noxfile.py").read_text(encoding="utf-8")
    )
    names = " ".join(re.findall(r'"(\S+)"', usual))
    assert f'default: "{names}"' in workflow
    assert f"inputs.upgrades || '{names}'" in workflow
    assert "torch" in names.split()


CANARY = (ROOT / ".github" / "workflows" / "canary.yml").read_text(encoding="utf-8")
GH = """#!/bin/sh
case "$1 $2 $4" in
  "issue list open") printf '%s' "$OPEN" ;;
  "issue list all") printf '%s' "$LAST" ;;
  *) echo "$2 $3" >> calls ;;
esac
"""
"""GitHub's client, which keeps what it was asked to do."""


STEPS = CANARY.partition("    steps:\n")[2].split("\n      - ")


def _number(text: str) -> int:
    """Return the number of the only step with this text."""
    (number,) = [number for number, step in enumerate(STEPS) if text in step]
    return number


def test_the_canary_keeps_its_history_on_a_night_with_an_alarm() -> None:
    """The job fails then, and actions/cache saves nothing of a job that failed."""
    save = _number("uses: actions/cache/save@")
    assert "path: canary.jsonl" in STEPS[save]
    assert "if: always()" in STEPS[save]
    assert save < _number("exit 1")
    restore = _number("restore-keys: history-")
    assert "uses: actions/cache/restore@" in STEPS[restore]


@pytest.mark.parametrize(
    ("action", "state", "opened", "last", "calls"),
    [
        ("open", "open", "", "", "create --title"),
        ("none", "still open", "7", "7", ""),
        ("none", "still open", "", "", "create --title"),
        ("none", "quiet", "", "7", "reopen 7"),
        ("none", "closed", "", "7", ""),
        ("none", "closed", "7", "7", "close 7"),
        ("close", "closed", "7", "7", "close 7"),
        ("reopen", "reopened", "", "7", "reopen 7"),
        ("update", "open", "7", "7", "edit 7"),
    ],
)
def test_an_open_alarm_has_an_open_issue(
    action: str, state: str, opened: str, last: str, calls: str, tmp_path: Path
) -> None:
    """Also if the night that raised it could not file it."""
    if not shutil.which("jq"):
        pytest.skip("jq is not installed")
    script = textwrap.dedent(STEPS[_number("name: Open, update")].partition("run: |\n")[2])
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "canary.md").write_text("text")
    history = {"action": action, "alarms": [{"name": "x", "state": state}]}
    (tmp_path / "canary.json").write_text(json.dumps({"history": history}))
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OPEN": opened, "LAST": last, "TITLE": "Canary: x"}
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)  # noqa: S603, S607
    made = tmp_path / "calls"
    first = made.read_text().splitlines()[0] if made.exists() else ""
    assert first == calls
