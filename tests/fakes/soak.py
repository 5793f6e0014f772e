"""Kill every command that writes at random times, and count what is lost: ``make soak``.

Each kill is a SIGKILL of a process at a time drawn over its whole run. After it, an output that is
replaced as a whole has to be the old or the new one, and predictions may only lack their last
lines. The command is then run again, and has to have the same outputs, byte for byte, as a run
that nothing disturbed. The table counts, per command:

- kills: processes that were killed before they ended;
- resumed: of these, the ones that left finished work and went on from it;
- lost: outputs that were neither old nor new, or differed in the end, and missing predictions;
- doubled: predictions that occur twice;
- left: kills after which a file of the killed process was still there at the end.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fakes import writing_commands
from fakes.writing_commands import COMMANDS, Command, Tree, Trial

_ATTEMPTS = 20
"""How often a process that ends before its kill is started again."""

_QUICK_WEIGHT = 4
"""How often a quick command is killed for each kill of a slow one."""

_WEIGHTS = {"run": 3, "pair": 3, "report": 3}
"""The slow commands that are killed more often: their outputs are what users keep."""

_HEADINGS = ("command", "kills", "resumed", "lost", "doubled", "left")
_ENDINGS = {0, 3, 4}
"""The exit codes of a finished command; those of compare, bisect and canary name a change."""


@dataclass
class Soak:
    """The trials of one command, and their counts."""

    name: str
    trial: Trial
    rng: np.random.Generator
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def run(self, kills: int) -> None:
        """Kill the command this number of times."""
        self._old: dict[str, Tree] = {}
        self._seconds, self._new, self._lines = self._undisturbed()
        for _ in range(kills):
            self._kill_once()

    def row(self) -> str:
        """Return the counts as a row of the table."""
        return f"| {self.name} | {' | '.join(str(self.counts[key]) for key in _HEADINGS[1:])} |"

    def _undisturbed(self) -> tuple[float, dict[str, Tree], list[str]]:
        """Run the command to its end twice: once for its modules, once for its time."""
        self.trial.prepare()
        self._old = self.trial.outputs()
        self._finish("undisturbed")
        self.trial.import_modules()
        self.trial.prepare()
        start = time.monotonic()
        self._finish("undisturbed")
        return time.monotonic() - start, self.trial.outputs(), sorted(self.trial.lines())

    def _kill_once(self) -> None:
        """Kill one process, check what it left, and run the command again."""
        when = self._killed()
        if when is None:
            self.faults.append(f"{self.name}: ended before each of {_ATTEMPTS} kills")
            return
        self.counts["kills"] += 1
        name = f"{self.name}, killed after {when:.2f} s"
        saved = self.trial.lines()
        self._check_kept(name, saved)
        grown = self.trial.command.grows and _has_files(self.trial)
        if self._finish(name):
            self.counts["resumed"] += grown
        self._check_end(name)

    def _killed(self) -> float | None:
        """Start the command, kill it at a random time, and return that time in seconds."""
        for _ in range(_ATTEMPTS):
            self.trial.prepare()
            when = float(self.rng.uniform(0, self._seconds))
            process = self.trial.start(self.trial.command.new)
            time.sleep(when)
            if process.poll() is None:
                process.kill()
                return when
        return None

    def _check_kept(self, name: str, saved: list[str]) -> None:
        """Check that outputs are the old or the new ones, and predictions are right and single."""
        if self.trial.command.grows:
            self._count("lost", f"{name}: other predictions", bool({*saved} - {*self._lines}))
            self._count("doubled", f"{name}: doubled lines", len(saved) > len({*saved}))
            return
        for output, content in self.trial.outputs().items():
            allowed = (self._old[output], self._new[output])
            self._count("lost", f"{name}: {output} is neither old nor new", content not in allowed)

    def _check_end(self, name: str) -> None:
        """Check that the outputs are those of an undisturbed run."""
        lines = sorted(self.trial.lines())
        self._count("lost", f"{name}: other outputs", self.trial.outputs() != self._new)
        self._count("lost", f"{name}: lines missing", bool({*self._lines} - {*lines}))
        self._count("doubled", f"{name}: doubled lines", len(lines) > len({*lines}))
        left = self.trial.leftovers()
        self._count("left", f"{name}: left {', '.join(left)}", bool(left))

    def _finish(self, name: str) -> bool:
        """Run the command to its end; return whether it ended well."""
        process = self.trial.run(self.trial.command.new)
        bad = process.returncode not in _ENDINGS
        self._count("lost", f"{name}: exit code {process.returncode}: {process.err[-500:]}", bad)
        return not bad

    def _count(self, key: str, fault: str, happened: bool) -> None:  # noqa: FBT001
        self.counts[key] += happened
        if happened:
            self.faults.append(fault)


def _has_files(trial: Trial) -> bool:
    """Return whether the killed process left any file of a growing output."""
    hidden = [trial.place / "controls" / ".copy", trial.place / "controls" / ".track"]
    folders = [*(trial.place / name for name in trial.command.outputs), *hidden]
    return any(path.is_file() for folder in folders for path in folder.rglob("*"))


def shares(kills: int, names: Mapping[str, Command] = COMMANDS) -> dict[str, int]:
    """Return how often each command is killed; the total is ``kills``."""
    weights = {
        name: _WEIGHTS.get(name, 1) if command.slow else _QUICK_WEIGHT
        for name, command in names.items()
    }
    total = sum(weights.values())
    edges = np.cumsum([0, *weights.values()]) * kills / total
    counts = np.diff(np.round(edges)).astype(int)
    return dict(zip(weights, map(int, counts), strict=True))


def main(words: Sequence[str]) -> int:
    """Kill the commands and print the table; return 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description="Kill every command that writes.")
    parser.add_argument("kills", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=20240531)
    parser.add_argument("--only", nargs="*", choices=COMMANDS, default=list(COMMANDS))
    options = parser.parse_args(words)
    chosen = {name: COMMANDS[name] for name in options.only}
    rng = np.random.default_rng(options.seed)
    print(f"| {' | '.join(_HEADINGS)} |\n|---|{'---:|' * (len(_HEADINGS) - 1)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        soaks = list(_soaks(chosen, shares(options.kills, chosen), rng, Path(folder)))
    totals = sum((soak.counts for soak in soaks), Counter[str]())
    print(f"| all | {' | '.join(str(totals[key]) for key in _HEADINGS[1:])} |")
    faults = [fault for soak in soaks for fault in soak.faults]
    print(*faults, sep="\n", file=sys.stderr)
    return int(bool(faults))


def _soaks(
    chosen: Mapping[str, Command], kills: Mapping[str, int], rng: np.random.Generator, folder: Path
) -> Iterator[Soak]:
    inputs = writing_commands.write_inputs(folder / "inputs" / "work")
    for name, command in chosen.items():
        trial = Trial.after_old(command, inputs, folder / name.replace(" ", "-"))
        soak = Soak(name, trial, rng)
        soak.run(kills[name])
        print(soak.row(), flush=True)
        yield soak


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
