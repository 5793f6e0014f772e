"""Measure each model once, across pairs, processes and sessions.

A measurement's folder is named after the model and a digest of its identity, which holds
everything that can change a score: another library version, dtype or data set gets another folder,
but another path to the same files does not.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from benchmark.errors import DataError, ModelError
from benchmark.locking import locked
from benchmark.models.location import Location
from benchmark.reading.documents import read_json
from benchmark.runs.loading import Loaders
from benchmark.runs.measure import PreparedRun, execute, prepare
from benchmark.runs.placement import Placement, RequestedDevice
from benchmark.runs.requests import Progress, RunRequest
from benchmark.runs.run_result import RunResult
from benchmark.runs.store.run_identity import HasDigest, Identity, comparable, is_same_run
from benchmark.writing import ensure_folder


@dataclass
class ModelStore:
    """Measurements in a folder on disk, which several processes may share."""

    folder: Path
    progress: Progress
    placement: Placement = field(default_factory=RequestedDevice)
    loaders: Loaders = field(default_factory=Loaders)

    def measure(self, request: RunRequest, *, wait: bool = True) -> RunResult:
        """Return the measurement of a request, from the store if it is there.

        ``request.out`` is ignored. While another process makes the same measurement this waits;
        a measurement that was interrupted is resumed.

        Raises:
            BenchmarkError: as :func:`benchmark.runs.measure.execute`.
            LockHeldError: without ``wait``, while another process makes the same measurement.
        """
        return self.measure_prepared(request, self.prepare(request), wait=wait)

    def prepare(self, request: RunRequest) -> PreparedRun:
        """Return a checked run, as :func:`benchmark.runs.measure.prepare`.

        Raises:
            BenchmarkError: when the request cannot be carried out; the message says why.
        """
        try:
            return prepare(request, self.progress, self.loaders, self.placement.ranks)
        except ModelError as error:
            if request.entry or "/" in request.model:
                raise
            hint = "if it is a key of your own registry, name that with --registry"
            raise type(error)(f"{error}; {hint}") from error

    def measure_prepared(
        self, request: RunRequest, prepared: PreparedRun, *, wait: bool = True
    ) -> RunResult:
        """Return the measurement of a request that is prepared already.

        Raises:
            LockHeldError: without ``wait``, while another process makes the same measurement.
        """
        ensure_folder(self.folder)
        # Not RunFolder's own lock, which refuses: here the second process waits for the first.
        with measurement_lock(self.folder, prepared.identity, wait=wait):
            return execute(
                prepared,
                self.run_folder(request, prepared),
                self.progress,
                device=lambda: self.placement.place(prepared, self.progress.say),
                loaders=self.loaders,
            )

    def run_folder(self, request: RunRequest, prepared: PreparedRun) -> Path:
        """Return the folder of a measurement, which need not exist yet."""
        existing = self._existing(_stored_form(prepared.identity), prepared.location)
        return existing or self.folder / folder_name(request.model, prepared.identity)

    def _existing(self, identity: Mapping[str, object], location: Location) -> Path | None:
        """Return the folder that has this measurement, finished or not, under any name."""
        folders = [path.parent for path in self.folder.glob("*/run.json")]
        folders.sort(key=lambda path: (not (path / "result.json").exists(), path))
        has_digest = cache(location.has_digest)  # former digests read the files
        return next((path for path in folders if _is_same(path, identity, has_digest)), None)


def measurement_lock(
    store: Path, identity: Identity, *, wait: bool
) -> AbstractContextManager[None]:
    """Return the lock of a measurement in a store.

    Raises:
        LockHeldError: when it is entered without ``wait``, and another process holds it.
    """
    lock = store / f"{_digest(identity)}.lock"
    return locked(lock, "making the same measurement", "choose another --store", wait=wait)


def folder_name(model: str, identity: Identity) -> str:
    """Return the name of a measurement's folder: the model's, and a digest of the identity."""
    return f"{_slug(model)}-{_digest(identity)}"


def _digest(identity: Identity) -> str:
    text = json.dumps(_stored_form(identity), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _stored_form(identity: Identity) -> dict[str, object]:
    """Return what decides whether two measurements are the same, as JSON has it."""
    form: dict[str, object] = json.loads(json.dumps(comparable(identity)))
    return form


def _is_same(folder: Path, identity: Mapping[str, object], has_digest: HasDigest) -> bool:
    try:
        return is_same_run(read_json(folder / "run.json"), identity, has_digest)
    except DataError:
        return False  # damaged: it is measured again in another folder


def _slug(name: str) -> str:
    """Return the last part of a path or identifier as a valid file name."""
    return re.sub(r"[^\w.-]+", "-", Path(name).expanduser().resolve().name) or "model"
