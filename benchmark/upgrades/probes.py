"""Make records in other environments, each in its own process, and keep them on disk."""

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
from benchmark.models.cache_folder import cache_folder
from benchmark.models.location import locate
from benchmark.runs.environment import code_digests
from benchmark.upgrades.venv_overlays import (
    EnvironmentBuilder,
    NotInstallableError,
    PythonEnvironment,
    VenvOverlays,
    project_root,
    python_path,
)

PROBES = ("fingerprint", "vanilla", "tokenizers")
_SMALL = 64 * 2**20
_PATIENCE = 7200
"""The longest time that one record may take, in seconds."""

_TRANSIENT = (
    *("No space left", "allocate memory", "MemoryError", "out of memory"),
    *("more than ", "ended by signal"),
)
"""Parts of failures that are not the environment's, so that another try may succeed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Probe:
    """A command that writes a record, and its arguments.

    ``fingerprint`` records this project's use of the libraries, ``vanilla`` the use that their
    documentation describes, ``tokenizers`` every fetched tokenizer. ``identity`` is a digest of the
    model's files.
    """

    kind: str
    arguments: tuple[str, ...]
    identity: str

    @property
    def name(self) -> str:
        """The probe's kind and the name of its model."""
        return " ".join((self.kind, *(Path(model).name for model in self.arguments[:1])))

    def command(self, project: Path, out: Path, along: Path | None) -> list[str]:
        """Return the arguments to Python that run the probe with the code in a folder."""
        follow = ["--along", str(along)] if along and self.kind == "fingerprint" else []
        # -P: the working directory, often the project, must not come before PYTHONPATH.
        run = ["-P", "-m", "benchmark", *self._verb(project)]
        return [*run, *self.arguments, "--out", str(out), *follow]

    def _verb(self, project: Path) -> list[str]:
        """Return the words that run the probe with this code, which may be of an older version."""
        if self.kind == "fingerprint":  # in every version, and without --probe in older ones
            return [self.kind]
        for verb in _OLDER_VERBS[self.kind]:
            if (project / f"benchmark/cli/{verb}.py").is_file():
                return [verb]
        return ["fingerprint", "--probe", self.kind]


_OLDER_VERBS = {"vanilla": ("vanilla", "plain"), "tokenizers": ("tokenizers", "sentinel")}
"""The probes' own verbs, which older code has, each in a module of that name in its ``cli``."""


def probe(kind: str, model: str | None, states: int, repeats: int = 0) -> Probe:
    """Return a probe of that kind on a model.

    ``repeats`` is the number of repeats for a fingerprint's noise floor; other kinds have none.

    Raises:
        SettingError: for an unknown kind, or if the kind needs a model and none is given.
        ModelError: if there is no such model.
    """
    if kind not in PROBES:
        raise SettingError(f"unknown probe {kind!r}; choose one of {', '.join(PROBES)}")
    if kind == "tokenizers":
        return Probe(kind, (), "")
    if model is None:
        name = "own" if kind == "fingerprint" else kind
        raise SettingError(f"--probe {name} needs --model: a folder, a GGUF file or an identifier")
    if kind == "vanilla":
        return _probe(kind, Path(model), _files(Path(model)), states)
    location = locate(model)
    path = location.folder / location.gguf if location.gguf else location.folder
    measured = ("--repeats", str(repeats)) if repeats else ()
    return _probe(kind, path, location.digest, states, *measured)


def _probe(kind: str, path: Path, identity: str, states: int, *options: str) -> Probe:
    return Probe(kind, (str(path.resolve()), "--states", str(states), *options), identity)


def _files(model: Path) -> str:
    """Return a digest of the files' names and sizes, and of the contents of small files."""
    paths = sorted(p for p in model.glob("*") if p.is_file()) if model.is_dir() else [model]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size}".encode())
        if path.stat().st_size < _SMALL:
            digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass
class Workbench:
    """Make and keep the records of one probe, one per environment.

    An existing record is not made again, so that a search can be resumed. Records are kept by
    probe, model files and project code.

    Attributes:
        root: the folder of all records.
        builder: builds environments.
        probe: what is recorded.
        project: the folder of the project's code.
        code: a digest of that code.
        say: receives a line of progress.
        along: the record whose answers are followed; None to follow a record's own answers.
        reasons: why there is no record, by requirements.
    """

    root: Path
    builder: EnvironmentBuilder
    probe: Probe
    project: Path
    code: str
    say: Say
    along: Path | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of this probe's records."""
        along = hashlib.sha256(self.along.read_bytes()).hexdigest() if self.along else None
        # Without the model's path: the identity pins its files.
        options = [word for word in self.probe.arguments if not Path(word).is_absolute()]
        parts = [self.probe.kind, *options, self.probe.identity, self.code, along]
        identity = json.dumps(parts)
        return self.root / f"{self.probe.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    def record(self, requirements: Sequence[str]) -> Fingerprint | None:
        """Return the record made with these requirements; None, with a reason, if there is none.

        There is none if the requirements cannot be installed, declared requirements of the
        libraries are not met, the process ends without a record, or a library cannot be imported.

        Raises:
            SettingError: if a requirement is invalid or the package index is unreachable.
        """
        name = " ".join(requirements)
        try:
            return self._record(requirements)
        except NotInstallableError as error:
            self.reasons[name] = f"cannot be installed: {error}"
        except UnmeasurableError as error:
            self.reasons[name] = f"cannot run: {error}"
        return None

    def _record(self, requirements: Sequence[str]) -> Fingerprint:
        environment = self.builder.build(requirements)
        if environment.unmet:
            raise UnmeasurableError("; ".join(environment.unmet))
        record = read_fingerprint(self.record_path(environment))
        if failure := import_failure(record):
            raise UnmeasurableError(failure)
        return record

    def reason(self, requirements: Sequence[str]) -> str:
        """Return why there is no record with these requirements."""
        return self.reasons[" ".join(requirements)]

    def forget_failures(self) -> None:
        """Forget which environments cannot run, so that they are tried again."""
        for path in self.root.glob("*/*.failed.txt"):
            path.unlink()

    def follow(self, requirements: Sequence[str]) -> None:
        """Let all later records follow the answers of the record with these requirements."""
        if self.probe.kind == "fingerprint":
            self.along = self.record_path(self.builder.build(requirements))

    def record_again(self, requirements: Sequence[str], process: int = 2) -> Fingerprint:
        """Return the record of another process in the same environment.

        Args:
            requirements: as those of :meth:`record`.
            process: the number of the process, from 2 on.

        Raises:
            UnmeasurableError: if the process ends without a record.
        """
        return read_fingerprint(self.record_path(self.builder.build(requirements), process))

    def record_path(self, environment: PythonEnvironment, process: int = 1) -> Path:
        """Return the path of a record, which is made if it does not exist.

        A failure is kept too, unless it is transient.

        Raises:
            UnmeasurableError: if the process ends without a record.
        """
        name = environment.name if process == 1 else f"{environment.name}.process-{process}"
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
                if not any(words in reason for words in _TRANSIENT):
                    failed.write_text(reason + "\n", encoding="utf-8")
                raise UnmeasurableError(reason)
            unfinished.replace(path)
        return path

    def _run(self, environment: PythonEnvironment, out: Path) -> str | None:
        """Make a record; return None, or why there is none."""
        return run_probe(environment.python, self.project, self.probe, out, self.along)


def import_failure(record: Fingerprint) -> str | None:
    """Return the first stage that failed on an import, with its error; None if there is none.

    Such a record does not show what its libraries compute.
    """
    stages = record.stages.items()
    return next((f"{name}: {s.failed}" for name, s in stages if s.failed_on_import), None)


def run_probe(
    python: Path, project: Path, probe: Probe, out: Path, along: Path | None
) -> str | None:
    """Run a probe with the code of a folder; return None, or the last line of a failed one."""
    variables = {**os.environ, **fixed_variables(), **python_path(project)}
    try:
        # The interpreter of our own environment, and arguments of our own command line.
        done = subprocess.run(  # noqa: S603
            [str(python), *probe.command(project, out, along)],
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
    if done.returncode < 0:  # usually by the kernel, when memory runs out
        return f"ended by signal {-done.returncode}"
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1][:300]


class UnmeasurableError(SettingError):
    """The probe ended without a record in an environment that could be made."""


def workbench(probe: Probe, say: Say, *, retry: bool = False) -> Workbench:
    """Return the workbench of a probe on this machine, with this project's code.

    ``retry`` forgets what could not be installed or run before.
    """
    overlays = VenvOverlays(cache_folder() / "environments")
    bench = Workbench(
        cache_folder() / "probes", overlays, probe, project_root(), code_identity(), say
    )
    if retry:
        overlays.forget_refusals()
        bench.forget_failures()
    return bench


def code_identity() -> str:
    """Return a digest of all files of the running project."""
    return hashlib.sha256(json.dumps(code_digests()).encode()).hexdigest()[:12]


def fixed_variables() -> Mapping[str, str]:
    """Return the variables that every started process gets, in every environment."""
    return {"TOKENIZERS_PARALLELISM": "false", "PYTHONDONTWRITEBYTECODE": ""}
