"""The test suite in another environment, and its part of the canary's report."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from benchmark.upgrades import suite
from benchmark.upgrades.canary import canary
from benchmark.upgrades.findings import SuiteResult
from benchmark.upgrades.suite import run_suite
from benchmark.upgrades.text import canary_lines, canary_markdown
from benchmark.upgrades.venv_overlays import NotInstallableError, PythonEnvironment
from fakes.fake_bench import fake_bench

TESTS = """
import pytest

def test_right(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_wrong(n): assert n == 1, "off by one"

@pytest.mark.skip(reason="not here")
def test_skipped(): pass

@pytest.mark.gpu
def test_on_a_gpu(): raise AssertionError

def test_broken(missing): pass
"""


@dataclass(frozen=True)
class This:
    """The environment of the tests themselves."""

    name: str = "this"
    python: Path = Path(sys.executable)
    unmet: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


class FakeBuilder:
    """Returns this environment, except for one requirement."""

    def build(self, requirements: Sequence[str]) -> PythonEnvironment:
        """Return this environment."""
        if "none==1" in requirements:
            raise NotInstallableError("no none==1")
        return This(
            unmet=("x 1 requires y<2, but 2 is installed",) if "y==2" in requirements else ()
        )


@pytest.fixture
def tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small suite in a project of its own, which does not load our plugin."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu: needs one\n")
    (tmp_path / "test_small.py").write_text(TESTS)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(suite, "python_path", lambda root: {})
    return tmp_path / "test_small.py"


def test_failed_tests_are_named(tests: Path) -> None:
    """Each failure has its first line; skipped and deselected tests did not pass."""
    result = run_suite(FakeBuilder(), (), [tests])
    assert result.passed == 2
    names = [name.partition("::")[2] for name, _ in result.failed]
    assert names == ["test_wrong[2]", "test_broken"]
    assert "off by one" in result.failed[0][1]
    assert (result.ended, result.exit_status) == (None, 1)


def test_suite_that_does_not_run(tests: Path) -> None:
    """A missing file and a missing environment are reported, never taken for success."""
    result = run_suite(FakeBuilder(), (), [tests.with_name("gone.py")])
    assert result.ended is not None
    assert result.ended.startswith("exit status 4")
    assert (result.passed, result.failed, result.exit_status) == (0, (), 1)
    assert run_suite(FakeBuilder(), ("none==1",), [tests]) == SuiteResult(
        ended="cannot be installed: no none==1"
    )
    assert run_suite(FakeBuilder(), ("y==2",), [tests]) == SuiteResult(
        ended="cannot run: x 1 requires y<2, but 2 is installed"
    )


def test_report_includes_the_suite(tmp_path: Path) -> None:
    """Terminal, issue and JSON name the failed test; a failed suite alone is exit status 1."""
    bench, said = fake_bench(tmp_path, lambda libraries: {"prompt_ids": "t"})
    unchanged = canary(("a==2",), [bench], said.append)
    assert (unchanged.exit_status, unchanged.as_json()["suite"]) == (0, None)
    result = replace(unchanged, suite=SuiteResult(3, (("tests.test_a::test_b", "1 != 2"),)))
    assert list(canary_lines(result))[-2:] == [
        "suite: 3 passed, 1 failed",
        "  failed: tests.test_a::test_b: 1 != 2",
    ]
    assert "failed: tests.test_a::test_b: 1 != 2" in canary_markdown(result)
    document = json.loads(json.dumps(result.as_json()))
    assert document["suite"]["failed"] == {"tests.test_a::test_b": "1 != 2"}
    assert result.exit_status == document["exit_status"] == 1
    ended = replace(unchanged, suite=SuiteResult(3, ended="exit status 1, though no test failed"))
    assert "  exit status 1, though no test failed" in list(canary_lines(ended))
    assert ended.exit_status == 1


def test_changed_probe_outranks_the_suite(tmp_path: Path) -> None:
    """If a probe changed, the exit status is the probe's."""
    bench, said = fake_bench(tmp_path, lambda libraries: {"prompt_ids": str("a" in libraries)})
    result = replace(canary(("a==2",), [bench], said.append), suite=SuiteResult(ended="crashed"))
    assert result.exit_status == 3
