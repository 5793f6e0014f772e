"""The command ``report``."""

import json
from pathlib import Path

import pytest

from benchmark.report import writing
from fakes import finished_runs
from fakes.command_line import command_line

BASE, VARIANT = "meta-llama/Llama-2-7b-hf", "codellama/CodeLlama-7b-hf"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two runs, as in the store of a pair."""
    folder, states = tmp_path_factory.mktemp("store"), finished_runs.first_states(26)
    finished_runs.write_run(folder / "base-0123", BASE, states, finished_runs.initial_answer)
    finished_runs.write_run(folder / "variant-4567", VARIANT, states, finished_runs.correct_answer)
    return folder


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write no figures, which take 6 s, where only the terminal is tested."""
    monkeypatch.setattr(writing, "_write_figure", lambda *_, **__: iter(()))


def test_two_runs(runs: Path, tmp_path: Path) -> None:
    """The page is written, and the terminal compares the second run with the first."""
    done = command_line("report", runs, "--out", tmp_path / "report")
    assert (done.returncode, done.stderr) == (0, "")
    base, variant = (
        line.split()
        for line in done.stdout.splitlines()
        if line.strip().startswith(("Llama", "Code"))
    )
    assert base[:3] == ["Llama", "2", "7B"]
    assert float(base[4]) < 10  # of the run that copies
    assert variant[:4] == ["CodeLlama", "7B", base[3], "100.0"]
    assert float(variant[5]) > 90
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"written: {tmp_path / 'report' / 'index.html'} and 41 files")
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80
    page = (tmp_path / "report" / "index.html").read_text()
    assert 'id="explorer"' in page
    assert (tmp_path / "report" / "tables" / "table-runs.csv").is_file()
    assert "CodeLlama 7B, measured" in (tmp_path / "report" / "tables" / "table-6.md").read_text()


@pytest.mark.usefixtures("no_figures")
def test_details_compare_by_numops(runs: Path, tmp_path: Path) -> None:
    """With --details each comparison has its table, in 80 columns."""
    done = command_line("report", runs, "--out", tmp_path, "--details")
    assert "Llama 2 7B (first) -> CodeLlama 7B (second)" in done.stdout
    (row,) = [line.split() for line in done.stdout.splitlines() if line.split()[:2] == [">=", "1"]]
    assert row[4] == "100.0"
    assert max(map(len, done.stdout.splitlines()[:-1])) <= 80


@pytest.mark.usefixtures("no_figures")
def test_lone_run_is_a_line(runs: Path, tmp_path: Path) -> None:
    """A run that nothing is compared with has its accuracy and the random baseline's."""
    done = command_line("report", runs / "base-0123", "--out", tmp_path)
    (row,) = [line.split() for line in done.stdout.splitlines() if line.split()[:1] == ["Llama"]]
    assert len(row) == 6
    assert 0 < float(row[5]) < 40
    assert "diff." not in done.stdout


@pytest.mark.usefixtures("no_figures")
def test_quiet_report_has_results_only(runs: Path, tmp_path: Path) -> None:
    """With -q the line about written files is missing."""
    assert "written:" not in command_line("report", runs, "-o", tmp_path, "-q").stdout


def test_published_results_as_json(tmp_path: Path) -> None:
    """Without folders the published results are reported; --json lists the written files."""
    done = command_line("report", "--out", tmp_path, "--json")
    written = json.loads(done.stdout)["written"]
    assert str(tmp_path / "figures" / "figure-3.pdf") in written
    assert all(Path(path).is_file() for path in written)


def test_misuse_is_one_line(tmp_path: Path) -> None:
    """A folder without results or a file without a comparison ends with exit code 2."""
    other = tmp_path / "other.json"
    other.write_text('{"format": 1}')
    for name, target in (("loop", "result.json"), ("gone", "nowhere")):
        (tmp_path / name / "run").mkdir(parents=True)
        (tmp_path / name / "run" / "result.json").symlink_to(target)
    for arguments, words in (
        ([tmp_path / "none"], "no result.json in or below it; measure with: run --out"),
        ([tmp_path / "loop"], "run/result.json: Too many levels of symbolic links"),
        ([tmp_path / "gone"], "run/result.json: No such file or directory"),
        ([other], "other.json: Not a directory"),
        (["--drift", tmp_path / "none.json"], "none.json: cannot be read"),
        (
            ["--drift", other],
            "other.json: not a comparison; python -m benchmark compare --json-file",
        ),
    ):
        done = command_line("report", *arguments, "--out", tmp_path / "out")
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_figures")
def test_hostile_names_in_a_terminal(runs: Path, tmp_path: Path) -> None:
    """Control characters and rich markup in a model's name are shown as text."""
    name = "x/[/red]\x1b[31m\u202e"
    states = finished_runs.first_states(26)
    other = finished_runs.write_run(tmp_path / "other", name, states, finished_runs.mixed_answer)
    done = command_line("report", runs / "base-0123", other, "--out", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "U+001B" in done.stdout
    assert not set("\x1b\u202e") & set(done.stdout)
