"""Make records in other environments, and keep them on disk."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.errors import DataError, SettingError
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.models.cache_folder import cache_folder
from benchmark.package_data import package_parent
from benchmark.reading.files import read_text
from benchmark.runs.environment import code_digests
from benchmark.upgrades.base_environment import environment_of, this_environment
from benchmark.upgrades.probes import Probe, Say, run_probe
from benchmark.upgrades.venv_overlays import (
    EnvironmentBuilder,
    NotInstallableError,
    PythonEnvironment,
    VenvOverlays,
)
from benchmark.writing import remove_all_leftovers, temporary_folder, write_text

_TRANSIENT = (
    *("No space left", "allocate memory", "MemoryError", "out of memory"),
    *("more than ", "ended by signal"),
)
"""Parts of failures that are not the environment's, so that another try may succeed."""


class UnmeasurableError(SettingError):
    """The probe ended without a record in an environment that could be made."""


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
        unmet = [e for e in environment.unmet if e.partition(" ")[0] not in self.probe.unused]
        if unmet:
            raise UnmeasurableError("; ".join(unmet))
        record = _stored_record(self.record_path(environment))
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

    def remove_leftovers(self) -> None:
        """Remove what killed processes have left of their probes; not what another one makes."""
        for folder in self.root.glob("*/"):
            remove_all_leftovers(folder)

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
        return _stored_record(self.record_path(self.builder.build(requirements), process))

    def record_path(self, environment: PythonEnvironment, process: int = 1) -> Path:
        """Return the path of a record, which is made if it does not exist.

        A failure is kept too, unless it is transient.

        Raises:
            UnmeasurableError: if the process ends without a record.
            DataError: if the note about an earlier failure is damaged.
        """
        name = environment.name if process == 1 else f"{environment.name}.process-{process}"
        path = self.folder / f"{name}.json.gz"
        failed = path.with_name(f"{name}.failed.txt")
        if earlier := _stored_failure(failed):
            raise UnmeasurableError(earlier)
        if not path.is_file():
            with temporary_folder(path) as folder:
                reason = self._run(environment, folder / path.name)
                if reason is not None:
                    if not any(words in reason for words in _TRANSIENT):
                        write_text(failed, [reason, "\n"])
                    raise UnmeasurableError(reason)
                (folder / path.name).replace(path)
        return path

    def _run(self, environment: PythonEnvironment, out: Path) -> str | None:
        """Make a record; return None, or why there is none."""
        return run_probe(
            environment.python, self.project, self.probe, out, self.along, environment.variables
        )


def _stored_record(path: Path) -> Fingerprint:
    try:
        return read_fingerprint(path)
    except DataError as error:
        raise DataError(f"{error}; remove the file to make the record again") from error


def _stored_failure(path: Path) -> str:
    """Return why an earlier process made no record; empty if none failed."""
    try:
        return read_text(path).strip() if path.is_file() else ""
    except DataError as error:
        raise DataError(f"{error}; remove the file to try again") from error


def import_failure(record: Fingerprint) -> str | None:
    """Return the first stage that failed on an import, with its error; None if there is none.

    Such a record does not show what its libraries compute.
    """
    stages = record.stages.items()
    return next((f"{name}: {s.failed}" for name, s in stages if s.failed_on_import), None)


def workbench(probe: Probe, say: Say, *, retry: bool = False) -> Workbench:
    """Return the workbench of a probe on this machine, with this project's code.

    ``retry`` forgets what could not be installed or run before.
    """
    root = cache_folder() / "environments"
    base = environment_of(probe.engine) if probe.engine else this_environment()
    overlays = VenvOverlays(root, base)
    bench = Workbench(
        cache_folder() / "probes", overlays, probe, package_parent(), code_identity(), say
    )
    overlays.remove_unfinished()
    bench.remove_leftovers()
    if retry:
        overlays.forget_refusals()
        bench.forget_failures()
    return bench


def code_identity() -> str:
    """Return a digest of all files of the running project."""
    return hashlib.sha256(json.dumps(code_digests()).encode()).hexdigest()[:12]
