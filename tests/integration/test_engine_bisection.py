"""``bisect`` over releases of a serving engine, one of which answers otherwise.

The releases are wheels in a folder, which pip installs into real overlays of an environment for
engines; each is asked over HTTP as llama.cpp's server is. Only the interpreters of the probes are
forked from the test's, which has torch imported already.
"""

import json
import venv
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from zipfile import ZipFile

import pytest

from benchmark.decoding.external.launch import ENVIRONMENT_VARIABLE
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Questions
from benchmark.runs.requests import NOT_WRITTEN, DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named
from benchmark.upgrades import flakiness, workbench
from benchmark.upgrades.probes import Probe
from fakes import engine_release
from fakes.command_line import command_line
from fakes.control_gguf import write_control_gguf
from fakes.forked import Process, command

CONTROL = Path(__file__).parents[2] / "fixtures" / "models" / "track"
STATES = 2
KINDS = {"1.0": "sound", "1.1": "silent", "1.2": "sound", "1.3": "changed", "1.4": "changed"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the control as a GGUF file with the control's tokenizer."""
    folder = tmp_path / "track"
    folder.mkdir()
    for path in CONTROL.glob("tokenizer*.json"):
        (folder / path.name).write_bytes(path.read_bytes())
    return write_control_gguf(CONTROL, folder / "track.gguf", quantized=False)


def _write_wheel(folder: Path, version: str) -> Path:
    path = folder / f"xllamacpp-{version}-py3-none-any.whl"
    info = f"xllamacpp-{version}.dist-info"
    files = {
        "xllamacpp/__init__.py": Path(engine_release.__file__).read_text(),
        "xllamacpp/kind.txt": KINDS[version],
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: xllamacpp\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with ZipFile(path, "w") as wheel:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            wheel.writestr(name, text)
    return path


def _write_answers(path: Path, model: Path) -> None:
    """Write the correct answers, and what the engine answers to other prompts."""
    settings = resolve(RunRequest(str(model), NOT_WRITTEN, device="cpu"))
    tokenizer = load_tokenizer(locate(str(model)))
    states = load_states(DataRequest(states=STATES))
    questions = Questions(task_named(DEFAULT), settings, tokenizer, states)
    answers = [
        [[*prompt], [*answer, tokenizer.eos_id]] for prompt, answer in questions.drafts.items()
    ]
    document = {
        "answers": answers,
        "constrained": [*tokenizer.encode("Statement: Box 0 contains")],
        "free": [*tokenizer.encode("Box Box Box")],
        "text": "Box 0 contains the bag and the map.",
    }
    path.write_text(json.dumps(document))


@pytest.fixture
def engines(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an environment for engines with the first release, and an index of all releases."""
    index, environment = tmp_path / "index", tmp_path / "engines"
    index.mkdir()
    wheels = [_write_wheel(index, version) for version in KINDS]
    venv.EnvBuilder(symlinks=True, with_pip=False).create(environment)
    (libraries,) = environment.glob("lib/python*/site-packages")
    with ZipFile(wheels[0]) as wheel:
        wheel.extractall(libraries)
    answers = tmp_path / "answers.json"
    _write_answers(answers, model)
    for name, value in {
        ENVIRONMENT_VARIABLE: environment,
        engine_release.VARIABLE: answers,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": index,
        "XDG_CACHE_HOME": tmp_path / "cache",
    }.items():
        monkeypatch.setenv(name, str(value))
    numbers = count()

    def run_forked(
        _: Path, project: Path, probe: Probe, out: Path, along: Path | None,
        variables: Mapping[str, str],
    ) -> str | None:  # fmt: skip
        """Run a probe as ``run_probe`` does, in a fork of this process."""
        words = probe.command(project, out, along)
        work = command(*words[words.index("benchmark") + 1 :])
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            with Process(work, tmp_path / f"probe-{next(numbers)}") as process:
                code = process.wait()
        return None if code == 0 else process.err.strip().splitlines()[-1]

    monkeypatch.setattr(workbench, "run_probe", run_forked)


@pytest.mark.usefixtures("engines")
def test_the_release_that_answers_otherwise(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with the last one before, and one without an address is skipped."""
    # As many processes as confirm a change have tests of their own (test_bisection.py).
    monkeypatch.setattr(flakiness, "CONFIRMING_PROCESSES", 2)
    out = tmp_path / "result.json"
    options = ("--states", str(STATES), "--repeats", "1", "--depth", "each", "--json-file", out)
    done = command_line("bisect", "xllamacpp", "1.0", "1.4", "--model", model, *options)
    assert done.returncode == 4, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "xllamacpp 1.0 to 1.4: 5 releases, 4 measured, 1 skipped"
    assert any("this release of xllamacpp tells no address" in line for line in lines)
    assert "changed by xllamacpp 1.3; last unchanged release: 1.2" in done.stdout
    (step,) = json.loads(out.read_text())["steps"]
    assert (step["first_moved"], step["stage"]) == ("1.3", "generated_ids")
    assert not step["by_chance"]
