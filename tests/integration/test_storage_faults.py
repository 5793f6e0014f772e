"""Every command that writes is killed, or fails, at changes of its files, and loses nothing.

A few faults per command are tried here, and none of the slow ones; ``SOAK_FAULTS`` is a number of
faults for each of all commands. ``make soak`` kills processes at random times instead. After a
fault every output is either the old or the new one, complete. An error is one line and exit code 2.
The same command, run again, has the outputs of a run without a fault and leaves no other files.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer

from benchmark.cli.app import app
from fakes import forked, injected, writing_commands
from fakes.writing_commands import COMMANDS, READ_ONLY, Trial

SOAK = int(os.environ.get("SOAK_FAULTS", "0"))
"""How many faults are tried for each command; 0 for a few, and none of the slow commands."""

ERRORS = (errno.ENOSPC, errno.EIO, errno.EINTR, errno.EROFS)

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    inputs: Path = writing_commands.write_inputs(tmp_path_factory.mktemp("inputs") / "work")
    return inputs


@pytest.fixture(params=[name for name in COMMANDS if SOAK or not COMMANDS[name].slow])
def trial(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Trial:
    """A command with older outputs."""
    trial: Trial = Trial.after_old(COMMANDS[request.param], folder, tmp_path)
    return trial


def _verbs(command: object, name: str = "") -> Iterator[str]:
    """Yield the names of all verbs below a command, such as ``export junit``."""
    commands = getattr(command, "commands", None)
    if commands is None:
        yield name
    else:
        for key, inner in commands.items():
            yield from _verbs(inner, f"{name} {key}".strip())


def test_every_verb_is_in_the_table() -> None:
    """A new verb is tried here, unless it only prints."""
    verbs = set(_verbs(typer.main.get_command(app)))
    writing = {name.partition(",")[0] for name in COMMANDS}
    assert verbs == writing | READ_ONLY
    assert not writing & READ_ONLY


def _options(command: object, name: str) -> set[str]:
    for part in name.split():
        command = getattr(command, "commands", {}).get(part)
    return {option for parameter in getattr(command, "params", ()) for option in parameter.opts}


@pytest.mark.parametrize("name", sorted(READ_ONLY))
def test_a_verb_that_prints_has_no_output_file(name: str) -> None:
    """No option that others use to name one."""
    options = _options(typer.main.get_command(app), name)
    assert options
    assert not options & {"--out", "--store", "--junit", "--report", "--hub-folder"}


def _faults(changes: int, largest: int) -> list[injected.Fault]:
    """Return faults spread over the changes and the bytes of a command."""
    rng = np.random.default_rng(20240531)
    if SOAK:
        kills = [injected.Fault(at) for at in range(changes)]
        errors = [injected.Fault(at, kind) for at in range(changes) for kind in ERRORS]
        sizes = [injected.Fault(size=int(n)) for n in rng.integers(0, largest, SOAK)]
        full = [injected.Fault(None, errno.EFBIG, int(n)) for n in rng.integers(0, largest, SOAK)]
        every = kills + errors + sizes + full
        return [every[i] for i in sorted(rng.permutation(len(every))[:SOAK])]
    kill = injected.Fault(int(rng.integers(0, changes)))
    error = injected.Fault(int(rng.integers(0, changes)), int(rng.choice(ERRORS)))
    size = int(rng.integers(0, largest))
    return [kill, error, injected.Fault(size=size), injected.Fault(None, errno.EFBIG, size)]


def test_nothing_is_lost(trial: Trial) -> None:
    """After a kill, a full disk or an I/O error at any change of a file."""
    trial.prepare()
    old = trial.outputs()
    process = trial.run(trial.command.new)
    assert process.returncode in {0, 3, 4}, process.err
    trial.import_modules()
    code, new, changes = process.returncode, trial.outputs(), trial.changes()
    assert all(new.values())
    largest = max(len(content) for tree in new.values() for content in tree.values())
    for fault in _faults(len(changes), largest):
        trial.prepare()
        broken = trial.run(trial.command.new, fault)
        _check_end(broken, fault, code)
        if not trial.command.grows:
            for name, content in trial.outputs().items():
                assert content in (old[name], new[name]), f"{fault}: {name} is neither old nor new"
        again = trial.run(trial.command.new)
        assert again.returncode == code, f"{fault}: {again.err}"
        assert trial.outputs() == new, str(fault)
        assert not trial.leftovers(), str(fault)


def _check_end(process: forked.Process, fault: injected.Fault, code: int) -> None:
    returncode, err = process.returncode, process.err
    if returncode in {code, -9, -25}:  # the command needs no more of its files, or was killed
        return
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (returncode, len(lines)) == (2, 1), f"{fault}: {err}"
    assert "Traceback" not in err
