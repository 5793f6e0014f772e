"""The command line: its output and its errors."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pyzipper

from benchmark.boxes.archive import MEMBER
from benchmark.boxes.baseline import baselines, baselines_as_json
from benchmark.boxes.dataset import read_file, rows
from benchmark.boxes.language import statement
from benchmark.boxes.states import parse_state
from benchmark.records import State
from fakes.command_line import command_line

ROOT = Path(__file__).parents[2]

FIRST = (
    "Box 0 contains the bag and the map, Box 1 contains nothing, Box 2 contains the cup, "
    "Box 3 contains nothing, Box 4 contains the pen, Box 5 contains nothing, "
    "Box 6 contains the key."
)
DESCRIPTIONS = (FIRST, f"{FIRST} Move the bag from Box 0 to Box 1. Put the hat into Box 3.")


@pytest.fixture
def states() -> list[State]:
    """Return two states of one sequence."""
    return [parse_state(3, description) for description in DESCRIPTIONS]


@pytest.fixture
def data(tmp_path: Path, states: list[State]) -> Path:
    """Return a data file with the two states."""
    path = tmp_path / "data.jsonl"
    path.write_text("".join(f"{row}\n" for state in states for row in rows(state)))
    return path


@pytest.fixture
def predictions(tmp_path: Path, states: list[State]) -> Path:
    """Return a file of predictions that copy the initial state."""
    path = tmp_path / "predictions.jsonl"
    lines = [{"input": s.description, "prediction": f"Statement: {FIRST}"} for s in states]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def _process(
    *arguments: str | Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a separate process: for limits and settings that are read at import."""
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "benchmark", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "80", "HF_HUB_OFFLINE": "1", "NO_COLOR": "1"},
        preexec_fn=before,
    )


def _line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the only line on stderr of a command that ended with exit code 2."""
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def refused() -> Callable[..., str]:
    """``refused(...)``: the one line on stderr of a command that ends with exit code 2."""
    return lambda *arguments: _line(command_line(*arguments))


@pytest.mark.parametrize("verb", ["generate", "baseline", "run", "score", "fetch"])
def test_help(verb: str) -> None:
    """Each command has a help page that fits 80 columns."""
    done = command_line(verb, "--help")
    assert done.returncode == 0
    assert f"python -m benchmark {verb}" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_without_arguments_help_is_shown() -> None:
    """Without arguments the commands are listed."""
    done = _process()
    assert done.returncode == 0
    assert "generate" in done.stdout


def test_generate_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    """The same seed yields the same file, another seed another; all states are complete."""
    files = [tmp_path / name for name in ("a", "b", "c")]
    for path, seed in zip(files, (4, 4, 5), strict=True):
        arguments = ("generate", "--split", "dev", "--subsample", "--seed", seed, "--out", path)
        assert command_line(*map(str, arguments)).returncode == 0
    first, second, other = (path.read_bytes() for path in files)
    assert first == second
    assert first != other
    assert len(list(read_file(files[0]))) * 7 == first.count(b"\n")


def test_generate_into_a_redirected_standard_output(tmp_path: Path) -> None:
    """A redirected /dev/stdout is written to and not replaced."""
    path = tmp_path / "all.txt"
    command = [*(sys.executable, "-m", "benchmark", "generate", "--split", "dev", "--subsample")]
    with path.open("w") as file:
        file.write("before\n")
        file.flush()
        subprocess.run(  # noqa: S603
            [*command, "--out", "/dev/stdout"], cwd=ROOT, stdout=file, check=True
        )
        file.seek(0, 2)
        file.write("after\n")
    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert len(lines) > 1000


def test_generate_takes_a_vocabulary(tmp_path: Path) -> None:
    """With --vocabulary, only its objects occur."""
    names = [f"{a}{b}" for a in "bcdfg" for b in ("ax", "ex", "ix", "ox", "ux")]
    vocabulary = tmp_path / "names.csv"
    vocabulary.write_text("object_name\n" + "\n".join(names) + "\n")
    out = tmp_path / "out.jsonl"
    done = command_line("generate", "--split", "dev", "--vocabulary", vocabulary, "--out", out)
    assert done.returncode == 0, done.stderr
    gold = {name for state in read_file(out) for query in state.queries for name in query.gold}
    assert gold == set(names)


def test_baseline_as_table_and_as_json(data: Path, states: list[State]) -> None:
    """The JSON has the closed form in per cent, and the table shows the same numbers."""
    done = command_line("baseline", "--data", data, "--json")
    document = json.loads(done.stdout)
    assert document == baselines_as_json(baselines(states))
    assert set(document["by_numops"]) == {"0", "1"}
    shown = command_line("baseline", "--data", data).stdout
    assert f"{document['overall']:.1f}" in shown


def test_score_as_table_and_as_json(data: Path, predictions: Path) -> None:
    """Copying the initial state is right exactly if no operation changed the box."""
    done = command_line("score", "--predictions", predictions, "--gold", data, "--json")
    document = json.loads(done.stdout)
    assert document["overall"] == {"correct": 11, "total": 14}
    assert document["nontrivial"] == {"correct": 0, "total": 3}
    assert document["by_numops"] == {
        "0": {"correct": 11, "total": 11},
        "1": {"correct": 0, "total": 3},
    }
    shown = command_line("score", "--predictions", predictions, "--gold", data).stdout
    assert "11/14" in shown


def test_score_of_an_unfinished_run(
    data: Path, predictions: Path, refused: Callable[..., str]
) -> None:
    """Missing predictions are refused, and ignored with --partial."""
    predictions.write_text(predictions.read_text().splitlines(keepends=True)[0])
    line = refused("score", "--predictions", predictions, "--gold", data)
    assert "no prediction for 'Box 0 contains" in line
    assert "--partial" in line
    done = command_line(
        "score", "--predictions", predictions, "--gold", data, "--partial", "--json"
    )
    assert json.loads(done.stdout)["overall"] == {"correct": 7, "total": 7}


def test_score_of_other_data(
    data: Path, predictions: Path, states: list[State], refused: Callable[..., str]
) -> None:
    """Predictions for states that are not in the gold data are refused."""
    data.write_text("".join(f"{row}\n" for row in rows(states[0])))
    line = refused("score", "--predictions", predictions, "--gold", data)
    assert "1 predictions for states that are not in the gold data" in line


def _damaged(lines: list[str], how: str) -> str:
    if how == "not JSON":
        lines[3] = '{"sentence": \n'
    elif how == "not an object":
        lines[3] = "[1]\n"
    elif how == "half a state":
        del lines[10:]
    elif how == "a rule broken":
        lines[7:] = [line.replace("Move the bag", "Move the cup") for line in lines[7:]]
    elif how == "not the language":
        lines[7:] = [line.replace("Put the hat", "Push the hat") for line in lines[7:]]
    elif how == "wrong gold":
        lines[8] = lines[8].replace("<extra_id_0> the bag", "<extra_id_0> the map")
    return "".join(lines)


@pytest.mark.parametrize(
    ("how", "where", "message"),
    [
        ("not JSON", ":4:", "not JSON"),
        ("not an object", ":4:", "not a JSON object"),
        ("half a state", ":8:", "3 rows left over"),
        ("a rule broken", ":8:", "the cup is not in Box 0: 'Move the cup from Box 0 to Box 1.'"),
        ("not the language", ":8:", "'Push the hat into Box 3.'"),
        ("wrong gold", ":9:", "masked_content"),
    ],
)
def test_damaged_data_is_named_by_line(
    data: Path, how: str, where: str, message: str, refused: Callable[..., str]
) -> None:
    """For malformed data or broken rules, the error names file and line."""
    data.write_text(_damaged(data.read_text().splitlines(keepends=True), how))
    line = refused("baseline", "--data", data)
    assert f"{data}{where}" in line
    assert message in line


def test_an_empty_file_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    """A file without rows is an error."""
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    assert "no states" in refused("baseline", "--data", path)


def test_a_missing_file_is_named(tmp_path: Path, refused: Callable[..., str]) -> None:
    """The error names a missing file and the reason."""
    line = refused("baseline", "--data", tmp_path / "none.jsonl")
    assert "none.jsonl: cannot be read" in line
    assert "No such file" in line


def test_binary_data_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    """The error names a file that is not text."""
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused("baseline", "--data", path)


def _archive(path: Path, data: Path) -> Path:
    with pyzipper.AESZipFile(path, "w", encryption=pyzipper.WZ_AES) as archive:
        archive.setpassword(b"secret")
        archive.writestr(f"boxes/{MEMBER}", data.read_text())
    return path


def test_the_original_archive_is_read_with_its_password(tmp_path: Path, data: Path) -> None:
    """A password-protected ZIP yields the same numbers as the file in it."""
    archive = _archive(tmp_path / "boxes.zip", data)
    from_zip = command_line("baseline", "--data", archive, "--password", "secret", "--json").stdout
    assert json.loads(from_zip) == json.loads(
        command_line("baseline", "--data", data, "--json").stdout
    )


def test_a_bad_archive_is_one_line(tmp_path: Path, data: Path, refused: Callable[..., str]) -> None:
    """The error for a wrong or missing password or a truncated ZIP says what to do."""
    archive = _archive(tmp_path / "boxes.zip", data)
    assert "wrong password" in refused("baseline", "--data", archive, "--password", "x")
    assert "--password" in refused("baseline", "--data", archive)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    assert "not a complete ZIP" in refused("baseline", "--data", archive, "--password", "secret")


def test_unknown_settings(tmp_path: Path, refused: Callable[..., str]) -> None:
    """The error for an unknown engine, protocol, format, split or model lists the choices."""
    out = ("--out", tmp_path / "out")
    run = ("run", "--model", "m", *out)
    assert "'outlines', 'unconstrained'" in refused(*run, "--engine", "x")
    assert "'default', 'paper'" in refused(*run, "--protocol", "x")
    assert "'completion', 'chat'" in refused(*run, "--prompt-format", "x")
    assert "'train', 'dev', 'test'" in refused("generate", "--split", "x", *out)
    assert "smollm2" in refused("fetch", "x")
    assert "at least 1" in refused(*run, "--states", "0")
    for number in ("718", "1" + "0" * 30):
        assert "the data has 717; ask for fewer" in refused(*run, "--states", number)
    assert "at least 1" in refused(*run, "--batch-size", "0")
    assert "See: python -m benchmark run --help" in refused(*run, "--what")
    assert "--model" in refused("run", *out)
    assert not (tmp_path / "out").exists()


def test_a_missing_model(tmp_path: Path, refused: Callable[..., str]) -> None:
    """The error for a missing folder or an unreachable hub says what to do."""
    out = ("--states", "1", "--out", tmp_path / "out")
    line = refused("run", "--model", tmp_path / "none", *out)
    assert "no such local folder" in line
    line = _line(_process("run", "--model", "meta-llama/Llama-2-7b-hf", *out))
    assert "HF_HUB_OFFLINE" in line


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """If the file cannot be written, the error is one line and the old file is unchanged."""
    out = tmp_path / "data.jsonl"
    out.write_text("earlier\n")
    line = _line(_process("generate", "--split", "dev", "--out", out, before=_small_files))
    assert "File too large" in line
    assert out.read_text() == "earlier\n"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full (Linux)")
def test_no_space_left(refused: Callable[..., str]) -> None:
    """The error for a full device names the reason."""
    assert "No space left" in refused("generate", "--split", "dev", "--out", "/dev/full")


def test_a_perfect_run_scores_all(tmp_path: Path, data: Path, states: list[State]) -> None:
    """Gold statements as predictions are all right."""
    path = tmp_path / "perfect.jsonl"
    lines = []
    for state in states:
        text = f"Statement: {statement(tuple(query.gold for query in state.queries))}"
        lines.append(json.dumps({"input": state.description, "prediction": text}))
    path.write_text("\n".join(lines))
    document = json.loads(
        command_line("score", "--predictions", path, "--gold", data, "--json").stdout
    )
    assert document["overall"] == {"correct": 14, "total": 14}
