"""The workflows name what there is."""

import re
from pathlib import Path

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
