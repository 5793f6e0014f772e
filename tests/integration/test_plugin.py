"""The pytest plugin and the snapshots, in another project."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from benchmark.models import gpus
from benchmark.models.registry import registry

for _name in ("numpy", "torch"):  # they load only once, and pytester unloads what its runs import
    import_module(_name)

ROOT = Path(__file__).parents[2]

SNAPSHOT_TEST = """
import json, pathlib
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

def test_result(snapshot):
    result = json.loads(pathlib.Path("result.json").read_text())
    assert result == snapshot.use_extension(MeasurementExtension)
"""

PYPROJECT = """
[tool.pytest]
strict = true
addopts = ["-p", "benchmark.pytest_plugin"]
"""

SKIPPING_TESTS = """
import pytest
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

def test_runs_pytest_in_its_process(pytester):
    pytester.makepyfile("def test_it(): pass")
    pytester.runpytest_inprocess().assert_outcomes(passed=1)

@pytest.fixture(params=["present", "missing"])
def model(request):
    if request.param == "missing":
        pytest.skip("not fetched")
    return request.param

def test_model(model, snapshot):
    assert {"model": model} == snapshot.use_extension(MeasurementExtension)

def test_late(snapshot):
    pytest.skip("no such number format here")
"""

GPU_TEST = """
import pytest

@pytest.mark.gpu
def test_on_a_gpu() -> None:
    raise AssertionError

@pytest.mark.gpu
def test_on_a_device(run_request) -> None:
    assert run_request.device == "cpu"
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Another project, which loads the plugin with ``-p``."""
    pytester.makepyprojecttoml(PYPROJECT)
    return pytester


def test_gpu_cases_are_skipped_with_one_reason(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU, tests marked gpu are skipped with a reason, and the run succeeds."""
    monkeypatch.setattr(gpus, "has_gpu", lambda: False)
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
    """With a GPU, tests marked gpu run."""
    monkeypatch.setattr(gpus, "has_gpu", lambda: True)
    project.makepyfile(
        "import pytest\n@pytest.mark.gpu\ndef test_it() -> None:\n    raise AssertionError\n"
    )
    project.runpytest_inprocess("-m", "gpu").assert_outcomes(failed=1)


def test_snapshots_of_skipped_tests_count_as_used(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after a test that runs pytest in its own process; other unused ones are an error."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # workers print no report
    project.makeconftest("pytest_plugins = ['pytester']")
    project.makepyfile(test_models=SKIPPING_TESTS)
    names = ("test_model[present]", "test_model[missing]", "test_late")
    folder = project.mkdir("snapshots") / "test_models"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.json").write_text('{\n  "model": "present"\n}\n')
    result = project.runpytest_inprocess()
    result.assert_outcomes(passed=2, skipped=2)
    assert result.ret == 0
    (folder / "test_removed.json").write_text("{}\n")
    result = project.runpytest_inprocess("--snapshot-details")
    result.stdout.fnmatch_lines(["*1 snapshot unused.*", "Unused test_removed *"])
    assert result.ret == 1


def test_a_missing_tokenizer_is_skipped_with_its_command(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A test of a tokenizer that is not fetched is skipped with the command that fetches it."""
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
    project.runpytest_inprocess("--snapshot-update", "--no-confirm").assert_outcomes(passed=1)
    recorded = project.path / "snapshots" / "test_it" / "test_result.json"
    assert json.loads(recorded.read_text()) == document
    project.runpytest_inprocess().assert_outcomes(passed=1)
    result.write_text(json.dumps({**document, "outcomes": ["1010100"]}))
    changed = project.runpytest_inprocess()
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*1010101*", "*1010100*"])


CONFIRMED_TEST = """
import os
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

def test_steady(snapshot):
    assert {"answer": 1} == snapshot.use_extension(MeasurementExtension)

def test_other(snapshot):
    assert {"answer": os.getpid()} == snapshot.use_extension(MeasurementExtension)

def test_named(snapshot):
    ours = snapshot.use_extension(MeasurementExtension)
    assert {"answer": 2} == ours(name="steady")
    assert {"answer": os.getpid()} == ours(name="other")
"""


def test_a_second_process_must_give_a_snapshot_again(project: pytest.Pytester) -> None:
    """What a fresh process does not give again stays a candidate, and the old record is kept."""
    project.makepyfile(test_it=CONFIRMED_TEST)
    folder = project.path / "snapshots" / "test_it"
    folder.mkdir(parents=True)
    (folder / "test_other.json").write_text('{"answer": 0}')
    result = project.runpytest_inprocess("--snapshot-update", "-p", "benchmark.pytest_plugin")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "not recorded: a second process gave another result; candidate:*",
            "FAILED test_it.py::test_other - *assert*",
            "FAILED test_it.py::test_named - *assert*",
        ]
    )
    own = {"answer": os.getpid()}
    assert _contents(folder) == {
        "test_steady.json": {"answer": 1},
        "test_other.json": {"answer": 0},
        "test_other.json.candidate": own,
        "test_named[steady].json": {"answer": 2},
        "test_named[other].json.candidate": own,
    }


KILLING_TEST = """
import os, signal
from benchmark.pytest_plugin.snapshots.extension import MeasurementExtension

def test_steady(snapshot):
    if "ENTITY_TRACKING_CONFIRMATION" in os.environ:
        os.kill(os.getppid(), signal.SIGKILL)
    assert {"answer": 1} == snapshot.use_extension(MeasurementExtension)

def test_new(snapshot):
    assert {"answer": 2} == snapshot.use_extension(MeasurementExtension)
"""


def test_a_killed_confirmation_records_nothing(project: pytest.Pytester) -> None:
    """New snapshots do not count before the end of the confirmation, and the next update does."""
    project.makepyfile(test_it=KILLING_TEST)
    folder = project.path / "snapshots" / "test_it"
    folder.mkdir(parents=True)
    (folder / "test_steady.json").write_text('{"answer": 0}')
    assert project.runpytest_subprocess("--snapshot-update").ret == -signal.SIGKILL
    hidden = {
        f".{name}": {"answer": n} for n, name in ((1, "test_steady.json"), (2, "test_new.json"))
    }
    assert _contents(folder) == {"test_steady.json": {"answer": 0}, **hidden}
    project.runpytest_inprocess().assert_outcomes(failed=2)
    project.makepyfile(test_it=KILLING_TEST.replace("os.kill(", "print("))
    assert project.runpytest_inprocess("--snapshot-update").ret == 0
    assert _contents(folder) == {"test_steady.json": {"answer": 1}, "test_new.json": {"answer": 2}}


def _contents(folder: Path) -> dict[str, object]:
    return {path.name: json.loads(path.read_text()) for path in folder.iterdir()}


def test_known_failures_must_fail(project: pytest.Pytester) -> None:
    """A listed test must fail by an assertion; one that passes or breaks is a failure."""
    project.makepyfile(
        test_it="def test_bad() -> None:\n    assert False\n\ndef test_good() -> None:\n    pass\n"
        "\ndef test_broken() -> None:\n    import no_such_module\n"
    )
    listed = project.path / "known_failures.toml"
    entry = '[[failures]]\ntest = "test_it.py::{}"\nreason = "mended soon"\n'
    listed.write_text(entry.format("test_bad"))
    select = ("-k", "bad or good")
    project.runpytest_inprocess(*select).assert_outcomes(xfailed=1, passed=1, deselected=1)
    listed.write_text("".join(map(entry.format, ("test_bad", "test_good", "test_broken"))))
    result = project.runpytest_inprocess()
    result.assert_outcomes(xfailed=1, failed=2)
    result.stdout.fnmatch_lines(["*XPASS(strict)*mended soon*"])
    listed.rename(project.path / "other.toml")
    project.runpytest_inprocess(*select).assert_outcomes(failed=1, passed=1, deselected=1)
    (project.path / "other.toml").write_text(entry.format("test_gone"))
    result = project.runpytest_inprocess("--known-failures", "other.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no test test_it.py::test_gone*"])
    (project.path / "other.toml").write_text("[[failures]]\ntest = 1\n")
    result = project.runpytest_inprocess("--known-failures", "other.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*other.toml*failures*"])


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
def test_known_failures_without_a_test_and_skipped_ones(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """A run of all tests fails on an entry without a test; a skipped test is not checked."""
    project.makepyfile(
        test_it="import pytest\n\ndef test_skipped() -> None:\n    pytest.skip('no GPU')\n"
    )
    entry = '[[failures]]\ntest = "{}"\nreason = "mended soon"\n'
    listed = project.path / "known_failures.toml"
    listed.write_text("".join(map(entry.format, ("nosuch.py::test_x", "test_it.py::test_skipped"))))
    result = project.runpytest_inprocess(*workers)
    result.assert_outcomes(skipped=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    unchecked = "test_it.py::test_skipped: skipped, so whether it still fails is not checked"
    lines = ["*= known failures =*", "ERROR: nosuch.py::test_x: listed, but*", unchecked]
    result.stdout.fnmatch_lines(lines)
    result = project.runpytest_inprocess(*workers, "test_it.py")  # only a part of the tests
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([unchecked])
    result.stdout.no_fnmatch_line("*nosuch*")


def test_device_applies_to_tests_that_use_it(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``--device=cpu`` a test that needs a real GPU is still skipped, with a reason."""
    monkeypatch.setattr(gpus, "has_gpu", lambda: False)
    project.makepyfile(GPU_TEST)
    result = project.runpytest_inprocess("-m", "gpu", "--device=cpu", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*torch sees none here (--device does not apply to it)*"])


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--protocol=nonsense", "'nonsense'; choose one of default, paper"),
        ("--dtype=int3", "dtype 'int3'"),
        ("--device=abacus", "device 'abacus'"),
        ("--task=chess", "task 'chess'"),
        ("--states=0", "--states 0: at least 1"),
        ("--batch-size=0", "--batch-size 0"),
        ("--registry=no.toml", "no.toml: "),
        ("--data=no.jsonl", "no.jsonl: "),
        ("--model-store=test_it.py", "--model-store test_it.py: a file"),
    ],
)
def test_bad_option_is_a_usage_error(
    project: pytest.Pytester, option: str, message: str, workers: tuple[str, ...]
) -> None:
    """A value that cannot be used ends pytest with one line and exit code 4."""
    project.makepyfile(test_it="def test_it() -> None:\n    pass\n")
    result = project.runpytest_inprocess(*workers, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.stderr.lines if line)
    assert line.startswith("ERROR: ")
    assert message in line


def test_bad_option_is_a_usage_error_with_two_workers(project: pytest.Pytester) -> None:
    """The same in a process of its own, whose workers would print the error again."""
    project.makepyfile(test_it="def test_it() -> None:\n    pass\n")
    result = project.runpytest_subprocess("-n", "2", "--device=abacus")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.stderr.lines if line)
    assert line.startswith("ERROR: unknown device 'abacus'; use auto, cpu")
    assert "INTERNALERROR" not in result.stdout.str()


def test_gpu_cases_of_this_project_are_rehearsed_or_skipped() -> None:
    """``pytest -m gpu --device=cpu`` passes: a test that needs a GPU says so in one line.

    It runs with a worker of xdist; without one, the tests above see the same in this process.
    """
    options = ("-m", "gpu", "--device=cpu", "-rs", "-q", "-n", "1")
    command = (sys.executable, "-m", "pytest", *options)
    tests = ("-p", "no:cacheprovider", "tests/integration/test_outlines_engine.py")
    done = subprocess.run(  # noqa: S603  # this project's own tests
        (*command, *tests), cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if not gpus.has_gpu():
        assert "1 skipped" in done.stdout
        assert "--device does not apply to it" in done.stdout


def test_no_entry_point_loads_the_plugin() -> None:
    """Neither pyproject.toml nor an installed distribution registers a pytest plugin of ours."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "pytest11" not in document["project"]["entry-points"]
    registered = entry_points(group="pytest11")
    assert registered, "pytest-xdist and syrupy have some"
    assert not [point for point in registered if point.value.split(".")[0] == "benchmark"]


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_options_of_another_project_are_its_own(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    """A project whose conftest adds ``--device`` runs as if this package were not installed."""
    pytester.makeconftest(
        "def pytest_addoption(parser):\n"
        "    parser.addoption('--device', default='cpu', help='where this project runs')\n"
    )
    pytester.makepyfile(
        "def test_it(request):\n    assert request.config.getoption('--device') == 'cpu'\n"
    )
    result = pytester.runpytest_subprocess(*workers)
    result.assert_outcomes(passed=1)
    assert result.ret == 0
    assert "entity tracking" not in pytester.runpytest_subprocess("--help").stdout.str()


def test_marks_of_another_project_are_its_own(pytester: pytest.Pytester) -> None:
    """Its failing test with a mark ``gpu`` fails, on a machine without a GPU too."""
    pytester.makeini("[pytest]\nmarkers = gpu: needs another kind of GPU\n")
    pytester.makepyfile(
        "import pytest\n\n@pytest.mark.gpu\ndef test_it():\n    raise AssertionError('must run')\n"
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*must run*"])


def test_text_of_others_is_shown_as_text(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names in a reason, an option's value and the summary cannot control a terminal or GitHub."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    project.makepyfile(
        """
        from benchmark.errors import UnavailableModelError
        from benchmark.models.registry import registry
        from benchmark.pytest_plugin.fixtures import _result_or_skip
        from benchmark.reproduction.measuring import result_or_reason

        def unavailable():
            raise UnavailableModelError("::error::m\x1b[2J\u202e: gated")

        def test_summary(record_property):
            record_property("pair verdict", "::warning::p\x1b]0;title\x07")

        def test_reason():
            _result_or_skip(result_or_reason(unavailable))
        """
    )
    result = project.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    text = result.stdout.str()
    assert ":\\:error::m\\x1b[2J\\u202e: gated" in text
    assert ":\\:warning::p\\x1b]0;title\\x07" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert not [line for line in result.stdout.lines if line.lstrip().startswith("::")]
    refused = project.runpytest_subprocess("--device=\x1b[2J")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert "\x1b" not in refused.stderr.str()


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "1"), ("-n", "1", "--dist=load")])
def test_root_conftest_runs_with_and_without_xdist(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    """The project's settings and conftest need no xdist; with it files are kept together."""
    shutil.copy(ROOT / "conftest.py", pytester.path)
    shutil.copy(ROOT / "pyproject.toml", pytester.path)
    pytester.mkdir("tests").joinpath("test_it.py").write_text(
        "def test_it(pytestconfig) -> None:\n"
        "    assert pytestconfig.getoption('--device') == 'cpu'\n"
    )
    result = pytester.runpytest_subprocess(*options, "--device=cpu", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


def test_pairs_are_distributed_one_by_one(project: pytest.Pytester) -> None:
    """Workers begin with the largest models, one pair each; other files stay on one worker.

    What each worker begins with is decided before any test runs, so a loaded machine changes none
    of it. The file with the most tests is not the first.
    """
    project.makepyfile(
        test_pairs="""
        import os, pytest
        from benchmark.models.registry import registry
        @pytest.mark.gpu
        @pytest.mark.parametrize("pair", registry().pairs)
        def test_pair(pair, run_request):
            with open(os.environ["PYTEST_XDIST_WORKER"], "a") as file:
                file.write(f"{pair}\\n")
        """,
        test_others="""
        import os, pytest
        @pytest.mark.parametrize("n", range(100))
        def test_other(n):
            with open(os.environ["PYTEST_XDIST_WORKER"], "a") as file:
                file.write("other\\n")
        """,
    )
    options = ("-n", "2", "--dist=loadfile", "--device=cpu")
    project.runpytest_subprocess(*options).assert_outcomes(passed=len(registry().pairs) + 100)
    by_worker = [(project.path / name).read_text().split() for name in ("gw0", "gw1")]
    large = {pair.id for pair in registry().pairs.values() if "70b" in pair.id}
    assert len(large) == 3
    # Two units are assigned to each worker at once, in turn.
    assert large <= {pair for names in by_worker for pair in names[:2]}
    assert all(large & set(names) for names in by_worker)
    assert "other" not in {name for names in by_worker for name in names[:2]}
    assert len([names for names in by_worker if "other" in names]) == 1


def test_require_all_fails_where_a_test_would_be_skipped(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks, calls and modules that skip are failures with their reason; expected failures pass."""
    monkeypatch.setattr(gpus, "has_gpu", lambda: False)
    project.makepyfile(
        test_it="""
        import pytest

        @pytest.mark.gpu
        def test_gpu() -> None: ...

        def test_skips() -> None:
            pytest.skip("the model is gated")

        @pytest.mark.xfail(strict=True)
        def test_fails() -> None:
            raise AssertionError

        def test_passes() -> None: ...
        """,
        test_module="import pytest\npytest.importorskip('no_such_library')\n",
    )
    project.runpytest_inprocess().assert_outcomes(skipped=3, passed=1, xfailed=1)
    required = project.runpytest_inprocess("--require-all", "--continue-on-collection-errors")
    required.assert_outcomes(failed=1, errors=2, passed=1, xfailed=1)
    required.stdout.fnmatch_lines(
        [
            "*--require-all: *no_such_library*",
            "*--require-all: *needs a CUDA GPU*",
            "*--require-all: *the model is gated*",
        ]
    )
    assert required.ret == pytest.ExitCode.TESTS_FAILED


def test_require_all_keeps_the_snapshots_of_skipped_tests(project: pytest.Pytester) -> None:
    """A test that could not run is no reason to delete what it recorded."""
    test = """
        import pytest

        def test_one(snapshot) -> None:
            {skip}
            assert snapshot == 1
    """
    project.makepyfile(test_it=test.format(skip=""))
    project.runpytest_inprocess("--snapshot-update", "--bless", "first").assert_outcomes(passed=1)
    (recorded,) = (path for path in project.path.rglob("*.ambr"))
    before = recorded.read_bytes()
    project.makepyfile(test_it=test.format(skip="pytest.skip('busy')"))
    project.runpytest_inprocess("--require-all", "--snapshot-update", "--bless", "second")
    assert recorded.read_bytes() == before
