"""The command ``export``, and its data loaded with Hugging Face's ``datasets``."""

import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmark.boxes.dataset import rows
from fakes import finished_runs
from fakes.command_line import command_line

BASE, VARIANT = "meta-llama/Llama-2-7b-hf", "codellama/CodeLlama-7b-hf"
INSTALL = "pip install '.[test]'"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder with two runs."""
    folder, states = tmp_path / "runs", finished_runs.first_states(26)
    finished_runs.write_run(folder / "base", BASE, states, finished_runs.initial_answer)
    finished_runs.write_run(folder / "variant", VARIANT, states, finished_runs.correct_answer)
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a data file with 26 states."""
    path = tmp_path / "data.jsonl"
    states = finished_runs.first_states(26)
    path.write_text("".join(f"{row}\n" for state in states for row in rows(state)))
    return path


def test_results(runs: Path, tmp_path: Path) -> None:
    """There is one row per query of each run; a run without predictions is named and left out."""
    parquet = pytest.importorskip("pyarrow.parquet", reason=INSTALL)
    (runs / "base" / "predictions.jsonl").unlink()
    out = tmp_path / "r.parquet"
    done = command_line("export", "results", runs, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "note: Llama 2 7B: left out, no predictions.jsonl in its folder",
        f"written: {out}, {26 * 7} queries of 1 runs",
    ]
    table = parquet.read_table(out).to_pylist()
    assert {row["model"] for row in table} == {VARIANT}
    assert all(row["correct"] for row in table)


def test_junit(runs: Path, tmp_path: Path) -> None:
    """There is one suite per run and one of the pairs."""
    out = tmp_path / "r.xml"
    done = command_line("export", "junit", runs, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"written: {out}; runs: 2, pairs: 1 (and 3 skipped)\n"
    names = [suite.get("name") for suite in ET.parse(out).getroot()]  # noqa: S314
    assert names == ["Llama 2 7B", "CodeLlama 7B", "pairs"]


def test_dataset(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parquet and JSON lines have the rows of the file, and Croissant has their digests."""
    datasets = pytest.importorskip("datasets", reason=INSTALL)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    out, cache = tmp_path / "boxes", str(tmp_path / "cache")
    done = command_line("export", "dataset", "--data", data, "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"written: {out}, {26 * 7} rows, 7 per state\n"
    expected = [json.loads(line) for line in data.read_text().splitlines()]
    loaded = datasets.load_dataset(str(out), split="test", cache_dir=cache)
    assert loaded.to_list() == expected
    lines = str(out / "test.jsonl")
    assert (
        datasets.load_dataset("json", data_files=lines, split="train", cache_dir=cache).to_list()
        == expected
    )
    assert (out / "test.jsonl").read_bytes() == data.read_bytes()
    card = (out / "README.md").read_text()
    assert "Read from data.jsonl:\n26 states and 182 queries" in card
    croissant = json.loads((out / "croissant.json").read_text())
    for file in croissant["distribution"]:
        content = (out / file["contentUrl"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    (fields,) = (record["field"] for record in croissant["recordSet"])
    assert {field["source"]["extract"]["column"] for field in fields} < set(loaded.column_names)


def test_the_card_of_another_task(tmp_path: Path) -> None:
    """The card names the task, which is not comparable with the published figures."""
    cards = []
    for task in ("boxes", "move-contents"):
        out = tmp_path / task
        done = command_line("export", "dataset", "--task", task, "--subsample", "--out", out)
        assert done.returncode == 0, done.stderr
        cards.append((out / "README.md").read_text())
        assert ("the contents of" in (out / "test.jsonl").read_text()) is (task != "boxes")
    default, other = cards
    assert "comparable with the published figures." in default
    assert "comparable with the published figures" not in other
    assert "The task is `move-contents`" in other


def test_misuse_is_one_line(data: Path, tmp_path: Path) -> None:
    """Unknown or conflicting options end with one line and exit code 2, and write nothing."""
    out = tmp_path / "out"
    cases: list[tuple[list[str | Path], str]] = [
        (["dataset", "--split", "all"], "'all' is not one of 'train', 'dev', 'test'"),
        (["dataset", "--data", data, "--seed", "1"], "use one of them"),
        (["dataset", "--password", "x"], "--password is for the authors' ZIP"),
        (["results", tmp_path / "none"], "no result.json in or below it"),
        (["junit", tmp_path / "none"], "no result.json in or below it"),
        ([], "See: python -m benchmark export --help"),
    ]
    for arguments, words in cases:
        options: list[str | Path] = ["--out", out] if arguments else []
        done = command_line("export", *arguments, *options)
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not out.exists()
