"""Every command that writes is killed, or fails, at changes of its files, and loses nothing.

A few faults per command are tried here; ``make soak`` tries hundreds. After a fault every output is
either the old or the new one, complete. An error is one line and exit code 2. The same command, run
again, has the outputs of a run without a fault and leaves no other files.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fakes import fake_fingerprints, finished_runs, forked, injected
from fakes.recipes import TINY_RECIPE

Tree = Mapping[str, bytes]

ROOT = Path(__file__).parents[2]
MODEL = str(ROOT / "fixtures" / "models" / "copy-a")
SOAK = int(os.environ.get("SOAK_FAULTS", "0"))
"""How many faults are tried for each command; 0 for a few."""

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


@dataclass(frozen=True)
class Command:
    """A command that writes.

    ``old`` and ``new`` are two calls with the same outputs; in both ``{}`` is the working folder.
    ``outputs`` are the files and folders that are replaced by one rename each. ``grows`` is whether
    an output is written piece by piece, and resumed.
    """

    new: tuple[str, ...]
    outputs: tuple[str, ...]
    old: tuple[str, ...] = ()
    grows: bool = False


COMMANDS = {
    "generate": Command(
        ("generate", "--split", "dev", "--subsample", "--out", "{}/data.jsonl"),
        ("data.jsonl",),
        ("generate", "--split", "dev", "--subsample", "--seed", "1", "--out", "{}/data.jsonl"),
    ),
    "run": Command(
        ("run", "-q", "--model", MODEL, "--states", "5", "--batch-size", "2", "--out", "{}/r"),
        ("r/result.json", "r/run.json", "r/progress.json"),
        grows=True,
    ),
    "fingerprint": Command(
        ("fingerprint", MODEL, "--states", "2", "--out", "{}/f.json"),
        ("f.json",),
        ("fingerprint", MODEL, "--states", "1", "--out", "{}/f.json"),
    ),
    "compare": Command(
        ("compare", "{}/a.json", "{}/b.json", "--json-file", "{}/c.json", "--junit", "{}/c.xml"),
        ("c.json", "c.xml"),
    ),
    "report": Command(
        ("report", "{}/run", "--out", "{}/report"), ("report",), ("report", "--out", "{}/report")
    ),
    "export-junit": Command(("export", "junit", "{}/run", "--out", "{}/j.xml"), ("j.xml",)),
    "export-results": Command(
        ("export", "results", "{}/run", "--out", "{}/r.parquet"), ("r.parquet",)
    ),
    "export-dataset": Command(
        ("export", "dataset", "--data", "{}/gold.jsonl", "--out", "{}/d"),
        ("d",),
        ("export", "dataset", "--data", "{}/fewer.jsonl", "--out", "{}/d"),
    ),
    "train-controls": Command(
        ("train-controls", "--recipe", "{}/recipe.toml", "--out", "{}/controls"),
        ("controls/copy", "controls/track"),
        grows=True,
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read: data, a finished run, two fingerprints, a recipe."""
    from benchmark.boxes.dataset import rows
    from benchmark.fingerprints.storage import write_fingerprint

    place = tmp_path_factory.mktemp("inputs") / "work"
    place.mkdir()
    states = finished_runs.first_states(26)
    for name, written in (("gold", states), ("fewer", states[:13])):
        text = "".join(f"{row}\n" for state in written for row in rows(state))
        (place / f"{name}.jsonl").write_text(text)
    finished_runs.write_run(place / "run", "owner/model", states, finished_runs.mixed_answer)
    record = fake_fingerprints.fake_fingerprint()
    write_fingerprint(record, place / "a.json")
    write_fingerprint(
        fake_fingerprints.with_changed_stage(record, "prompt_ids", (0,)), place / "b.json"
    )
    shutil.copy(TINY_RECIPE, place / "recipe.toml")
    return place


@dataclass
class Trial:
    """A command in its own folder, with and without faults."""

    command: Command
    inputs: Path
    place: Path

    def prepare(self) -> Path:
        """Create the folder with inputs, and with outputs of an older call."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.inputs, self.place)
        return self.place

    def run(
        self, arguments: tuple[str, ...], fault: injected.Fault | None = None
    ) -> forked.Process:
        """Run the command to its end in a forked process."""
        words = [word.replace("{}", str(self.place)) for word in arguments]
        out = self.place.parent / "process"
        shutil.rmtree(out, ignore_errors=True)
        work = injected.faulty(
            forked.command(*words), self.place, fault or injected.Fault(), out / "changes"
        )
        process = forked.Process(work, out)
        process.wait()
        return process

    def changes(self) -> list[str]:
        """Return the changes of the last process, in order."""
        return (self.place.parent / "process" / "changes").read_text().splitlines()

    def outputs(self) -> dict[str, Tree]:
        """Return the content of each output that exists."""
        return {name: _tree(self.place / name) for name in self.command.outputs}


def _tree(path: Path) -> Tree:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): _steady(p) for p in files}


def _steady(path: Path) -> bytes:
    """Return the content without times and process numbers, which differ in every run."""
    if path.name in {"result.json", "progress.json"}:
        document = json.loads(path.read_bytes())
        for name in ("timing", "starts", "seconds", "environment"):
            document.pop(name, None)
        return json.dumps(document if path.name == "result.json" else {}).encode()
    return path.read_bytes()


def _left(place: Path) -> list[str]:
    names = (p.relative_to(place).as_posix() for p in place.rglob("*"))
    return [n for n in names if n.endswith((".part", ".old")) or "unfinished" in n]


SLOW = ("run", "fingerprint", "report", "train-controls")
"""Commands that take seconds a call: they are tried in a soak alone."""


@pytest.fixture(params=[name for name in COMMANDS if SOAK or name not in SLOW])
def trial(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Trial:
    """A command with older outputs."""
    command = COMMANDS[request.param]
    before = Trial(command, folder, tmp_path / "work")
    before.prepare()
    if command.old:
        process = before.run(command.old)
        assert process.returncode == 0, process.err
    inputs = tmp_path / "inputs"
    shutil.copytree(before.place, inputs)
    return Trial(command, inputs, tmp_path / "work")


def _faults(changes: int, largest: int) -> list[injected.Fault]:
    """Return faults spread over the changes and the bytes of a command."""
    rng = np.random.default_rng(20240531)
    if SOAK:
        kills = [injected.Fault(at) for at in range(changes)]
        errors = [
            injected.Fault(at, kind)
            for at in range(changes)
            for kind in (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EROFS)
        ]
        sizes = [injected.Fault(size=int(n)) for n in rng.integers(0, largest, SOAK)]
        every = kills + errors + sizes
        return [every[i] for i in sorted(rng.permutation(len(every))[:SOAK])]
    kill = injected.Fault(int(rng.integers(0, changes)))
    error = injected.Fault(int(rng.integers(0, changes)), errno.ENOSPC)
    return [kill, error, injected.Fault(size=int(rng.integers(0, largest)))]


def test_nothing_is_lost(trial: Trial) -> None:
    """After a kill, a full disk or an I/O error at any change of a file."""
    trial.prepare()
    old = trial.outputs()
    process = trial.run(trial.command.new)
    assert process.returncode in {0, 3, 4}, process.err
    code, new, changes = process.returncode, trial.outputs(), trial.changes()
    assert all(new.values())
    largest = max(len(content) for tree in new.values() for content in tree.values())
    for fault in _faults(len(changes), largest):
        trial.prepare()
        broken = trial.run(trial.command.new, fault)
        _check_end(broken, fault, code)
        for name, content in trial.outputs().items():
            assert content in (old[name], new[name]), f"{fault}: {name} is neither old nor new"
        again = trial.run(trial.command.new)
        assert again.returncode == code, f"{fault}: {again.err}"
        assert trial.outputs() == new, str(fault)
        assert not _left(trial.place), str(fault)


def _check_end(process: forked.Process, fault: injected.Fault, code: int) -> None:
    returncode, err = process.returncode, process.err
    if returncode in {code, -9, -25}:  # the command needs no more of its files, or was killed
        return
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (returncode, len(lines)) == (2, 1), f"{fault}: {err}"
    assert "Traceback" not in err
