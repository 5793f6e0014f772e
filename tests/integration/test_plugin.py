"""The pytest plugin and the snapshots in a separate project."""

import json
from pathlib import Path

import pytest

from benchmark.models import hardware
from benchmark.models.registry import registry

SNAPSHOT_TEST = """
import json, pathlib
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

def test_result(snapshot):
    result = json.loads(pathlib.Path("result.json").read_text())
    assert result == snapshot.use_extension(MeasurementExtension)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a user's project with the installed plugin."""
    pytester.makepyprojecttoml("[tool.pytest]\nstrict = true\n")
    return pytester


def test_gpu_cases_are_skipped_with_one_reason(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU, tests marked gpu are skipped with a reason, and pytest succeeds."""
    monkeypatch.setattr(hardware, "has_gpu", lambda: False)
    project.makepyfile(
        "import pytest\n@pytest.mark.gpu\ndef test_it() -> None:\n    raise AssertionError\n"
    )
    result = project.runpytest_inprocess("-m", "gpu", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*needs a CUDA GPU, and torch sees none here*"])
    assert result.ret == 0


def test_gpu_cases_run_with_a_gpu(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a GPU, tests marked gpu run and can fail."""
    monkeypatch.setattr(hardware, "has_gpu", lambda: True)
    project.makepyfile(
        "import pytest\n@pytest.mark.gpu\ndef test_it() -> None:\n    raise AssertionError\n"
    )
    project.runpytest_inprocess("-m", "gpu").assert_outcomes(failed=1)


def test_a_missing_tokenizer_is_skipped_with_its_command(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A test of a missing real tokenizer is skipped with the command that fetches it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    project.makepyfile("def test_it(real_tokenizer) -> None:\n    real_tokenizer('mistral')\n")
    result = project.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*get it with: python -m benchmark fetch mistral*"])


def test_a_snapshot_is_recorded_and_compared(project: pytest.Pytester) -> None:
    """A recorded result is stored under snapshots/ and passes until an outcome changes."""
    project.makepyfile(test_it=SNAPSHOT_TEST)
    document = {"outcomes": ["1010101"], "environment": {"hardware": {"threads": 1}}}
    result = project.path / "result.json"
    result.write_text(json.dumps(document))
    project.runpytest_inprocess().assert_outcomes(failed=1)
    project.runpytest_inprocess("--snapshot-update").assert_outcomes(passed=1)
    recorded = project.path / "snapshots" / "test_it" / "test_result.json"
    assert json.loads(recorded.read_text()) == document
    project.runpytest_inprocess().assert_outcomes(passed=1)
    result.write_text(json.dumps({**document, "outcomes": ["1010100"]}))
    changed = project.runpytest_inprocess()
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*1010101*", "*1010100*"])


def test_pairs_that_share_models_stay_on_one_worker(project: pytest.Pytester) -> None:
    """A group of the registry's pairs runs on one worker of xdist, as do other tests of a file."""
    project.makepyprojecttoml('[tool.pytest]\naddopts = ["--dist=loadfile"]\n')
    project.makepyfile(
        test_pairs="""
        import os, pytest
        from benchmark.models.registry import registry
        GROUPS = registry().pair_groups()
        @pytest.mark.parametrize("pair", GROUPS)
        def test_pair(pair):
            with open(f"worker-{GROUPS[pair]}.txt", "a") as file:
                file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
        """,
        test_others="""
        import os, pytest
        @pytest.mark.parametrize("n", range(20))
        def test_other(n):
            with open("worker-others.txt", "a") as file:
                file.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
        """,
    )
    project.runpytest_subprocess("-n", "2").assert_outcomes(passed=len(registry().pairs) + 20)
    workers = [set(path.read_text().split()) for path in project.path.glob("worker-*.txt")]
    assert len(workers) > 10
    assert all(len(names) == 1 for names in workers)
    assert len(set.union(*workers)) > 1
