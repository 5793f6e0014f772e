"""The commands ``fingerprint`` and ``compare``, and fingerprints as snapshots of a test."""

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

import benchmark.pytest_plugin.snapshots.fingerprints  # noqa: F401  # pytester forgets modules loaded within it
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.record_run import FingerprintRequest, fingerprint
from benchmark.fingerprints.storage import read_fingerprint, write_fingerprint
from benchmark.fingerprints.terminal import rendered
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from fakes.command_line import command_line
from fakes.fake_fingerprints import fake_fingerprint, fake_logits, with_changed_stage
from fakes.short_answers import save_short_answer_model

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "fixtures" / "models" / "copy-a"


TEST = """
from pathlib import Path
from benchmark.fingerprints.storage import read_fingerprint

def test_it(fingerprints):
    record = read_fingerprint(Path("now.json"))
    assert record == fingerprints(record)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project with a test of a fingerprint."""
    pytester.makeini("[pytest]\naddopts = -p benchmark.pytest_plugin --no-confirm\n")
    pytester.makepyprojecttoml("[project]\nname = 'x'\n")
    pytester.makepyfile(test_record=TEST)
    return pytester


def _now(project: pytest.Pytester, record: Fingerprint) -> None:
    write_fingerprint(record, project.path / "now.json")


def _bless(project: pytest.Pytester, record: Fingerprint, reason: str) -> None:
    _now(project, record)
    project.runpytest("--snapshot-update", "--bless", reason).assert_outcomes(passed=1)


def _snapshot(project: pytest.Pytester) -> Path:
    (path,) = project.path.glob("snapshots/fingerprints/*/test_record/test_it.json")
    return path


def test_fingerprint_and_compare(tmp_path: Path) -> None:
    """A run and the same run in bfloat16: the first changed stage is weights, the cause dtype."""
    old, new, junit = tmp_path / "old.json", tmp_path / "new.json.gz", tmp_path / "x.xml"
    arguments = ("fingerprint", str(MODEL), "--states", "2", "--device", "cpu")
    done = command_line(*arguments, "--out", str(old), "--repeats", "1")
    assert (done.returncode, done.stdout) == (0, f"written: {old}\n"), done.stderr
    assert len(read_fingerprint(old).repeats) == 1
    done = command_line(*arguments, "--out", str(new), "--along", str(old), "--dtype", "bfloat16")
    assert done.returncode == 0, done.stderr
    files = ("--json-file", str(tmp_path / "x.json"), "--junit", str(junit))
    done = command_line("compare", str(old), str(new), *files)
    document = json.loads((tmp_path / "x.json").read_text())
    assert done.returncode == document["exit_status"]
    assert done.returncode in {3, 4}
    assert "first changed stage: weights" in done.stdout
    assert document["stage"] == "weights"
    assert document["suspects"][0]["name"] == "protocol.dtype"
    assert 'name="shift.stage" value="weights"' in junit.read_text()
    assert command_line("compare", str(old), str(old)).returncode == 0
    done = command_line("compare", str(old), str(old), "--model", str(MODEL))
    assert done.returncode == 2
    assert "--model is for --isolate" in done.stderr
    done = command_line("compare", str(old), str(tmp_path / "none.json"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_second_pass_reports_progress(tmp_path: Path) -> None:
    """A line at every tenth, except at the end."""

    class Heard(Quiet):
        lines: ClassVar[list[str]] = []

        def say(self, text: str) -> None:
            self.lines.append(text)

    model, data = str(save_short_answer_model(tmp_path / "model")), DataRequest(seed=0, states=3)
    run = RunRequest(model, tmp_path, data, device="cpu", batch_size=1)
    fingerprint(FingerprintRequest(run), Heard())
    assert [line for line in Heard.lines if line.startswith("log-probabilities")] == [
        "log-probabilities along the recorded answers",
        "log-probabilities of 1 of 3 states",
        "log-probabilities of 2 of 3 states",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("fingerprint", str(MODEL), "--out", "{}/x.txt"), "ends in .json or .json.gz"),
        (
            ("fingerprint", "--probe", "vanilla", str(MODEL), "--out", "{}/x.txt"),
            "ends in .json or .json.gz",
        ),
        (
            ("fingerprint", "--probe", "tokenizers", "--out", "{}/x.txt"),
            "ends in .json or .json.gz",
        ),
        (("fingerprint", str(MODEL), "--out", "{}/folder.json"), "folder.json: a folder; name a"),
        (("fingerprint", str(MODEL), "--out", "{}/file/x.json"), "file: "),
        (
            ("compare", "a", "b", "--json-file", "{}/folder.json"),
            "folder.json: a folder; name a file",
        ),
        (("compare", "a", "b", "--junit", "{}/folder.json"), "folder.json: a folder; name a file"),
        (("compare", "a", "b", "--commit", "abc"), "are for --isolate; give it too"),
        (("canary", "torch==1", "--report", "{}/folder.json"), "folder.json: a folder; name a"),
        (("canary", "torch==1", "--suite", "{}/none"), "none: no such file or folder"),
        (("bisect", "torch", "1", "2", "--json-file", "{}/folder.json"), "folder.json: a folder"),
    ],
)
def test_unwritable_outputs_are_refused_first(
    arguments: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    """One line, exit status 2 and no output, before anything is measured or read."""
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").touch()
    done = command_line(*(argument.format(tmp_path) for argument in arguments))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert line in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.json"]


def test_records_of_different_kinds_are_refused(tmp_path: Path) -> None:
    """A record of tokenizers cannot be compared with a fingerprint."""
    record = fake_fingerprint()
    for name, changed in {"tokenizers": {"data": {"families": "a b"}}, "fingerprint": {}}.items():
        environment = replace(record.environment, **changed)
        write_fingerprint(replace(record, environment=environment), tmp_path / f"{name}.json")
    done = command_line("compare", tmp_path / "tokenizers.json", tmp_path / "fingerprint.json")
    assert done.returncode == 2
    assert "is a tokenizers record and" in done.stderr


def test_failed_prompts_are_compared(tmp_path: Path) -> None:
    """Without a chat template a first record is refused, and a later one has failed stages."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    arguments = ("fingerprint", MODEL, "--states", "1", "--device", "cpu")
    assert command_line(*arguments, "--out", good).returncode == 0
    chat = (*arguments, "--out", bad, "--prompt-format", "chat")
    done = command_line(*chat)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no chat template; use --prompt-format completion" in done.stderr
    assert not bad.exists()
    done = command_line(*chat, "--along", good)
    assert "failed: prompt: " in done.stdout
    assert "failed: counts: not reached: outcome failed" in done.stdout
    done = command_line("compare", good, bad)
    assert done.returncode == 4
    assert "first changed stage: prompt" in done.stdout
    assert command_line("compare", bad, good).returncode in {3, 4}


def test_snapshot_needs_a_reason(project: pytest.Pytester) -> None:
    """Without a reason nothing is written; with one it is kept."""
    _now(project, fake_fingerprint())
    result = project.runpytest("--snapshot-update")
    result.stdout.fnmatch_lines(["*needs a reason*--bless*"])
    assert not list(project.path.glob("snapshots/**/*.json"))
    _bless(project, fake_fingerprint(), "first")
    document = json.loads(_snapshot(project).read_text())
    assert document["blessings"] == [{"reason": "first", "change": "first record"}]
    project.runpytest().assert_outcomes(passed=1)


def test_change_fails_with_its_comparison(project: pytest.Pytester) -> None:
    """The failure shows the whole comparison; a blessing keeps its reason."""
    _bless(project, fake_fingerprint(), "first")
    changed = with_changed_stage(fake_fingerprint(), "answer", (1,))
    _now(project, changed)
    result = project.runpytest("--junit-xml=out.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift: first changed stage: answer (1 of 3 states)*"])
    expected = rendered(compare(read_fingerprint(_snapshot(project)), changed)).splitlines()
    printed = result.outlines
    (title,) = (n for n, line in enumerate(printed) if "Captured comparison call" in line)
    assert printed[title + 1 : title + 1 + len(expected)] == expected
    assert 'name="shift.stage" value="answer"' in (project.path / "out.xml").read_text()
    _bless(project, changed, "the scorer was wrong")
    blessings = json.loads(_snapshot(project).read_text())["blessings"]
    assert [blessing["reason"] for blessing in blessings] == ["first", "the scorer was wrong"]
    assert blessings[1]["change"] == "drift: first changed stage: answer (1 of 3 states)"
    project.runpytest().assert_outcomes(passed=1)


def test_noise_is_never_written(project: pytest.Pytester) -> None:
    """An update keeps a snapshot that differs within the floor, so that noise cannot add up."""
    _bless(project, fake_fingerprint(0.01), "first")
    before = _snapshot(project).read_bytes()
    noisy = with_changed_stage(fake_fingerprint(0.01), "logits", (0, 1, 2))
    _bless(project, replace(noisy, logits=fake_logits(0.03)), "second")
    assert _snapshot(project).read_bytes() == before


def test_workers_do_not_update(project: pytest.Pytester) -> None:
    """Under pytest-xdist an update is refused, even with a reason."""
    _now(project, fake_fingerprint())
    result = project.runpytest_subprocess("-n", "1", "--snapshot-update", "--bless", "x")
    result.stdout.fnmatch_lines(["*not updated in parallel*"])
    assert not list(project.path.glob("snapshots/**/*.json"))


def test_other_hardware_is_reported(project: pytest.Pytester) -> None:
    """A snapshot of other hardware is used visibly, and drift passes."""
    _bless(project, fake_fingerprint(), "first")
    environment = replace(fake_fingerprint().environment, hardware={"hardware_class": "arm64 NEON"})
    drifted = replace(
        with_changed_stage(fake_fingerprint(), "logits", (0, 1, 2)),
        logits=fake_logits(0.2),
        environment=environment,
    )
    _now(project, drifted)
    result = project.runpytest("--snapshot-no-cleanup")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*no snapshot for arm64-neon-default, compared with x86-64-avx512-default*"]
    )
    assert len(list(project.path.glob("snapshots/**/*.json"))) == 1
    _now(project, with_changed_stage(drifted, "prompt_ids", (0,)))
    project.runpytest("--snapshot-no-cleanup").assert_outcomes(failed=1)


def test_an_update_records_a_new_kind(project: pytest.Pytester) -> None:
    """On new hardware an update writes that hardware's own snapshot."""
    _bless(project, fake_fingerprint(), "first")
    before = _snapshot(project).read_bytes()
    hardware = {"hardware_class": "arm64 NEON"}
    environment = replace(fake_fingerprint().environment, hardware=hardware)
    _bless(project, replace(fake_fingerprint(), environment=environment), "new machines")
    kinds = {
        path.parent.parent.name: path
        for path in project.path.glob("snapshots/fingerprints/*/test_record/test_it.json")
    }
    assert sorted(kinds) == ["arm64-neon-default", "x86-64-avx512-default"]
    assert kinds["x86-64-avx512-default"].read_bytes() == before
    (blessing,) = json.loads(kinds["arm64-neon-default"].read_text())["blessings"]
    assert blessing == {"reason": "new machines", "change": "first record"}
    assert "instead" not in project.runpytest().stdout.str()
