"""The suite in another environment: which tests failed, by name, in what the canary tells."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.upgrades import suite as room
from benchmark.upgrades.canary import canary
from benchmark.upgrades.canary_text import canary_lines, canary_markdown
from benchmark.upgrades.findings import SuiteResult
from benchmark.upgrades.suite import run_suite
from benchmark.upgrades.venv_overlays import Installed, NotInstallableError

TESTS = """
import pytest

def test_right(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_wrong(n): assert n == 1, "moved by one"

@pytest.mark.skip(reason="not here")
def test_left_out(): pass

@pytest.mark.gpu
def test_on_a_gpu(): raise AssertionError

def test_broken(missing): pass
"""


@dataclass(frozen=True)
class This:
    """The environment of the tests themselves."""

    name: str = "this"
    python: Path = Path(sys.executable)


class Maker:
    """Gives this environment, except for what cannot be had."""

    def make(self, requirements: Sequence[str]) -> Installed:
        """This environment."""
        if "none==1" in requirements:
            raise NotInstallableError("no none==1")
        return This()


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small suite in a project of its own, which does not load ours."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs one\n")
    (tmp_path / "test_small.py").write_text(TESTS)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(room, "python_path", lambda root: {})
    return tmp_path / "test_small.py"


def test_failed_tests_are_named(tests: Path) -> None:
    """With the first line of each failure; what was skipped or deselected did not pass."""
    found = run_suite(Maker(), (), [tests])
    assert found.passed == 2
    names = [name.partition("::")[2] for name, _ in found.failed]
    assert names == ["test_wrong[2]", "test_broken"]
    assert "moved by one" in found.failed[0][1]
    assert (found.ended, found.exit_status) == (None, 1)


def test_suites_that_do_not_run(tests: Path) -> None:
    """No such file, no such environment: said, and never taken for success."""
    found = run_suite(Maker(), (), [tests.with_name("gone.py")])
    assert found.ended is not None
    assert found.ended.startswith("exit status 4")
    assert (found.passed, found.failed, found.exit_status) == (0, (), 1)
    assert run_suite(Maker(), ("none==1",), [tests]) == SuiteResult(
        ended="cannot be installed: no none==1"
    )


def test_the_report_has_the_suite(tmp_path: Path, fake_bench: Callable[..., Any]) -> None:
    """Terminal, issue and JSON name what failed; alone it ends in exit status 1."""
    bench, said = fake_bench(tmp_path, lambda libraries: {"prompt_ids": "t"})
    quiet = canary(("a==2",), [bench], said.append)
    assert (quiet.exit_status, quiet.as_json()["suite"]) == (0, None)
    found = replace(quiet, suite=SuiteResult(3, (("tests.test_a::test_b", "it moved"),)))
    assert list(canary_lines(found))[-2:] == [
        "suite: 3 passed, 1 failed",
        "  failed: tests.test_a::test_b: it moved",
    ]
    assert "failed: tests.test_a::test_b: it moved" in canary_markdown(found)
    document = json.loads(json.dumps(found.as_json()))
    assert document["suite"]["failed"] == {"tests.test_a::test_b": "it moved"}
    assert found.exit_status == document["exit_status"] == 1
    ended = replace(quiet, suite=SuiteResult(3, ended="exit status 1, though no test failed"))
    assert "  exit status 1, though no test failed" in list(canary_lines(ended))
    assert ended.exit_status == 1


def test_a_shift_is_worse_than_a_failed_test(
    tmp_path: Path, fake_bench: Callable[..., Any]
) -> None:
    """Where a probe moved, its exit status stands."""
    bench, said = fake_bench(tmp_path, lambda libraries: {"prompt_ids": str("a" in libraries)})
    found = replace(canary(("a==2",), [bench], said.append), suite=SuiteResult(ended="crashed"))
    assert found.exit_status == 3
