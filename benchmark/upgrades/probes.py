"""Records made in other environments, each in a process of its own and kept on disk."""

import hashlib
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import SettingError
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.models.downloads import cache_folder
from benchmark.models.location import locate
from benchmark.runs.environment import code_digests
from benchmark.upgrades.venv_overlays import (
    Installed,
    Maker,
    NotInstallableError,
    VenvOverlays,
    project_root,
    python_path,
)

KINDS = ("fingerprint", "vanilla", "tokenizers")
_SMALL = 64 * 2**20
_PATIENCE = 7200
"""Seconds that one record may take."""

_PASSING = (
    *("No space left", "allocate memory", "MemoryError", "out of memory"),
    *("more than ", "ended by signal"),
)
"""What a process says that another try may end otherwise."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """What is recorded: a verb of the command line that writes a record, and its arguments.

    ``fingerprint`` is the project's own way, ``vanilla`` the libraries' own, ``tokenizers`` the
    tokenizers of every family that was fetched.
    """

    kind: str
    arguments: tuple[str, ...]
    identity: str

    @property
    def name(self) -> str:
        """Its kind, and what it looks at."""
        return " ".join((self.kind, *(Path(each).name for each in self.arguments[:1])))

    def command(self, project: Path, out: Path, along: Path | None) -> list[str]:
        """Return the arguments to Python, for the code of the project in that folder."""
        follow = ["--along", str(along)] if along and self.kind == "fingerprint" else []
        # -P: the folder of now, often the project, must not go before PYTHONPATH.
        run = ["-P", "-m", "benchmark", self._verb(project)]
        return [*run, *self.arguments, "--out", str(out), *follow]

    def _verb(self, project: Path) -> str:
        older = _OLDER_VERBS.get(self.kind)
        return older if older and (project / f"benchmark/cli/{older}.py").is_file() else self.kind


_OLDER_VERBS = {"vanilla": "plain", "tokenizers": "sentinel"}
"""What code before version 0.2 calls them; ``compare --isolate`` runs such code."""


def probe(kind: str, model: str | None, states: int, repeats: int = 0) -> Probe:
    """The probe of that kind on a model.

    ``repeats`` is how often a fingerprint measures its noise floor; the other kinds hold nothing
    that rounds.

    Raises:
        SettingError: for a kind that there is not, or one without the model that it needs.
        ModelError: when there is no such model.
    """
    if kind not in KINDS:
        raise SettingError(f"no probe {kind!r}; choose one of {', '.join(KINDS)}")
    if kind == "tokenizers":
        return Probe(kind, (), "")
    if model is None:
        raise SettingError(f"--probe {kind} needs --model: a folder, a GGUF file or an identifier")
    if kind == "vanilla":
        return _probe(kind, Path(model), _files(Path(model)), states)
    location = locate(model)
    path = location.folder / location.gguf if location.gguf else location.folder
    measured = ("--repeats", str(repeats)) if repeats else ()
    return _probe(kind, path, location.digest, states, *measured)


def _probe(kind: str, path: Path, identity: str, states: int, *options: str) -> Probe:
    return Probe(kind, (str(path.resolve()), "--states", str(states), *options), identity)


def _files(model: Path) -> str:
    """A digest of small files, and sizes of large ones: vanilla use takes bare tokenizers."""
    paths = sorted(p for p in model.glob("*") if p.is_file()) if model.is_dir() else [model]
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.name} {path.stat().st_size}".encode())
        if path.stat().st_size < _SMALL:
            whole.update(path.read_bytes())
    return whole.hexdigest()


@dataclass
class Workbench:
    """Where records of one probe are made and kept, an environment each.

    A record that is there is not made again, so that a search that was stopped goes on where it
    was. The folder belongs to the probe, the model's files, and the project's code (``code`` names
    the state of the folder ``project``).
    """

    root: Path
    maker: Maker
    probe: Probe
    project: Path
    code: str
    say: Say
    along: Path | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Of this probe's records."""
        along = hashlib.sha256(self.along.read_bytes()).hexdigest() if self.along else None
        parts = [self.probe.kind, *self.probe.arguments, self.probe.identity, self.code, along]
        identity = json.dumps(parts)
        return self.root / f"{self.probe.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    def record(self, requirements: Sequence[str]) -> Fingerprint | None:
        """The record in the environment with these libraries; None, with a reason, without one.

        Raises:
            SettingError: when a requirement is none, or the package index is out of reach.
        """
        name = " ".join(requirements)
        try:
            return read_fingerprint(self.made(self.maker.make(requirements)))
        except NotInstallableError as error:
            self.reasons[name] = f"cannot be installed: {error}"
        except UnmeasurableError as error:
            self.reasons[name] = f"does not run: {error}"
        return None

    def reason(self, requirements: Sequence[str]) -> str:
        """Why there is no record in that environment."""
        return self.reasons[" ".join(requirements)]

    def forget_failures(self) -> None:
        """Try again what did not run."""
        for path in self.root.glob("*/*.failed.txt"):
            path.unlink()

    def follow(self, requirements: Sequence[str]) -> None:
        """Have all records from now on follow the answers of the one with these libraries."""
        if self.probe.kind == "fingerprint":
            self.along = self.made(self.maker.make(requirements))

    def again(self, requirements: Sequence[str], turn: int = 2) -> Fingerprint:
        """Another record in an environment that one was made in: another process, nothing else.

        Args:
            requirements: as those of :meth:`record`.
            turn: the number of the process, from 2 on.

        Raises:
            UnmeasurableError: when the process ends without one.
        """
        return read_fingerprint(self.made(self.maker.make(requirements), turn))

    def made(self, environment: Installed, turn: int = 1) -> Path:
        """The record's file, made when it is not there.

        A process that ended without one is remembered, unless the machine was to blame.

        Raises:
            UnmeasurableError: when the process ends without one.
        """
        name = environment.name if turn == 1 else f"{environment.name}.process-{turn}"
        path = self.folder / f"{name}.json.gz"
        failed = path.with_name(f"{name}.failed.txt")
        if failed.is_file():
            raise UnmeasurableError(failed.read_text(encoding="utf-8").strip())
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{os.getpid()}-{path.name}")
            reason = self._run(environment, unfinished)
            if reason is not None:
                unfinished.unlink(missing_ok=True)
                if not any(words in reason for words in _PASSING):
                    failed.write_text(reason + "\n", encoding="utf-8")
                raise UnmeasurableError(reason)
            unfinished.replace(path)
        return path

    def _run(self, environment: Installed, out: Path) -> str | None:
        """None, or why there is no record."""
        return run_probe(environment.python, self.project, self.probe, out, self.along)


def run_probe(
    python: Path, project: Path, wanted: Probe, out: Path, along: Path | None
) -> str | None:
    """Run a probe with the code of a folder; None, or the last line of one that made no record."""
    variables = {**os.environ, **steady(), **python_path(project)}
    try:
        # An interpreter that we made, and arguments of our own command line.
        done = subprocess.run(  # noqa: S603
            [str(python), *wanted.command(project, out, along)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            env=variables,
        )
    except subprocess.TimeoutExpired:
        return f"more than {_PATIENCE} s"
    if done.returncode == 0 and out.is_file():
        return None
    if done.returncode < 0:  # by the kernel for want of memory, as a rule
        return f"ended by signal {-done.returncode}"
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:300]


class UnmeasurableError(SettingError):
    """The probe ended without a record in an environment that could be made."""


def workbench(wanted: Probe, say: Say, *, retry: bool = False) -> Workbench:
    """Where this probe's records are kept on this machine, with this project's code.

    ``retry`` forgets what could not be installed or run before.
    """
    layers = VenvOverlays(cache_folder() / "environments")
    bench = Workbench(
        cache_folder() / "probes", layers, wanted, project_root(), code_identity(), say
    )
    if retry:
        layers.forget_refusals()
        bench.forget_failures()
    return bench


def code_identity() -> str:
    """A digest of all files of the project that is running."""
    return hashlib.sha256(json.dumps(code_digests()).encode()).hexdigest()[:12]


def steady() -> Mapping[str, str]:
    """Variables of every process that is started, the same in every environment."""
    return {"TOKENIZERS_PARALLELISM": "false", "PYTHONDONTWRITEBYTECODE": ""}
