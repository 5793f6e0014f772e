"""``certify`` on the folder of a run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.command_line import command_line

MODELS = Path(__file__).parents[2] / "fixtures" / "models"
STATES = 2

Lines = list[dict[str, object]]
Changed = Callable[[Callable[[Lines], None]], Path]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a control model."""
    out = tmp_path_factory.mktemp("runs") / "track"
    settings = ("--states", str(STATES), "--device", "cpu", "--out", out)
    done = command_line("run", "--model", MODELS / "track", *settings)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture
def changed(measured: Path, tmp_path: Path) -> Changed:
    """Return a copy of the run with changed predictions."""

    def change(edit: Callable[[Lines], None]) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(measured, folder)
        path = folder / "predictions.jsonl"
        lines: Lines = [json.loads(line) for line in path.read_text().splitlines()]
        edit(lines)
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return folder

    return change


def _without_tokens(lines: Lines) -> None:
    for line in lines:
        del line["token_ids"], line["finished"]


def _certify(folder: Path, *options: str | Path) -> tuple[int, str, str]:
    done = command_line(
        "certify", folder, "--reference", MODELS / "track", "--device", "cpu", *options
    )
    return done.returncode, done.stdout, done.stderr


def test_a_run_keeps_its_tokens_and_is_certified(measured: Path, tmp_path: Path) -> None:
    """Each line has the tokens, and their count is the certificate's."""
    report = tmp_path / "certificate.json"
    code, out, err = _certify(measured, "--json-file", report)
    assert (code, out.splitlines()[0]) == (0, f"certified: {STATES} of {STATES} answers"), err
    lines = [json.loads(line) for line in (measured / "predictions.jsonl").read_text().splitlines()]
    assert all(line["finished"] for line in lines)
    document = json.loads(report.read_text())
    assert document["tokens"] == sum(len(line["token_ids"]) + 1 for line in lines)
    assert document["certified"] is True


def test_an_unfinished_run_is_judged(changed: Changed) -> None:
    """Its lines are in the order of the engine; what cannot be checked is said."""

    def last_only(lines: Lines) -> None:
        del lines[0]

    folder = changed(last_only)
    (folder / "result.json").unlink()
    run = folder / "run.json"
    document = json.loads(run.read_text())
    document["protocol"]["quantization"] = "8bit"
    run.write_text(json.dumps(document))
    code, _, err = _certify(folder)
    assert code == 0
    assert "the run is not finished: whether the reference makes its prompts is not checked" in err
    assert "the run was quantized to 8bit, the reference is not" in err


@pytest.mark.parametrize("data", ["default", "other"])
def test_the_state_of_an_unfinished_run(changed: Changed, tmp_path: Path, data: str) -> None:
    """Its number is that in the data, not of its line; it is unknown for other data."""

    def reversed_and_wrong(lines: Lines) -> None:
        lines.reverse()
        ids = lines[0]["token_ids"]
        assert isinstance(ids, list)
        ids[0] = 5

    folder, report = changed(reversed_and_wrong), tmp_path / "certificate.json"
    (folder / "result.json").unlink()
    if data == "other":
        run = json.loads((folder / "run.json").read_text())
        run["data"]["sha256"] = "0" * 64
        (folder / "run.json").write_text(json.dumps(run))
    code, out, err = _certify(folder, "--json-file", report)
    assert code == 4
    (violation,) = json.loads(report.read_text())["violations"]
    state = STATES - 1 if data == "default" else None
    assert (violation["state"], violation["answer"]) == (state, 0)
    (row,) = (line.split() for line in out.splitlines() if " constraint " in line)
    assert row[:2] == ([str(state), "0"] if data == "default" else ["answer", "0"])
    assert ("numbers of their states are not known" in err) == (data == "other")


def test_a_wrong_token(changed: Changed) -> None:
    """It is named with its state, place and text."""

    def wrong(lines: Lines) -> None:
        ids = lines[1]["token_ids"]
        assert isinstance(ids, list)
        ids[0] = 5

    code, out, _ = _certify(changed(wrong))
    assert code == 4
    assert f"not certified: {STATES - 1} of {STATES} answers" in out
    (row,) = (line.split() for line in out.splitlines() if " constraint " in line)
    assert row[:3] == ["1", "0", "constraint"]


def test_answers_of_an_older_version(changed: Changed) -> None:
    """Their tokens are unknown: they are judged only by their text's tokens, and on request."""
    folder = changed(_without_tokens)
    code, _, err = _certify(folder)
    assert code == 2
    assert f"{STATES} of {STATES} answers have no token ids" in err
    code, out, _ = _certify(folder, "--reencode")
    assert (code, "their text was encoded again" in out) == (0, True)


def test_a_fault_of_a_text(changed: Changed) -> None:
    """A re-encoded answer that breaks the rule has a status of its own."""

    def wrong(lines: Lines) -> None:
        _without_tokens(lines)
        lines[0]["prediction"] = str(lines[0]["prediction"])[:-1] + ";"

    assert _certify(changed(wrong), "--reencode")[0] == 3


def test_a_reference_with_another_tokenizer(changed: Changed) -> None:
    """Its prompts are others than the run's, which is misuse."""
    folder = changed(lambda _: None)
    run = json.loads((folder / "run.json").read_text())
    run["prompts"]["sha256"] = "0" * 64
    (folder / "run.json").write_text(json.dumps(run))
    code, _, err = _certify(folder)
    assert (code, "makes other prompts than the run had" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [("run.json", "no run.json"), ("predictions.jsonl", "no predictions.jsonl")],
)
def test_a_folder_that_is_not_that_of_a_run(changed: Changed, name: str, message: str) -> None:
    """The missing file is named."""
    folder = changed(lambda _: None)
    (folder / name).unlink()
    code, _, err = _certify(folder)
    assert (code, message in err) == (2, True)
