"""Measure each model once, across pairs, processes and sessions.

A measurement's folder is named after the model and a digest of its identity, which holds
everything that can change a score: another library version, dtype or data set gets another folder,
but another path to the same files does not.
"""

import hashlib
import json
import re
from collections.abc import Mapping
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
from benchmark.runs.store.run_identity import HasDigest, comparable, is_same_run
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
            return prepare(request, self.progress, self.loaders)
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
        identity: dict[str, object] = json.loads(json.dumps(comparable(prepared.identity)))
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        ensure_folder(self.folder)
        # Not RunFolder's own lock, which refuses: here the second process waits for the first.
        lock = self.folder / f"{digest}.lock"
        purpose, remedy = "making the same measurement", "choose another --store"
        with locked(lock, purpose, remedy, wait=wait):
            out = (
                self._existing(identity, prepared.location)
                or self.folder / f"{_slug(request.model)}-{digest}"
            )
            return execute(
                prepared,
                out,
                self.progress,
                device=lambda: self.placement.place(prepared),
                loaders=self.loaders,
            )

    def _existing(self, identity: Mapping[str, object], location: Location) -> Path | None:
        """Return the folder that has this measurement, finished or not, under any name."""
        folders = [path.parent for path in self.folder.glob("*/run.json")]
        folders.sort(key=lambda path: (not (path / "result.json").exists(), path))
        has_digest = cache(location.has_digest)  # former digests read the files
        return next((path for path in folders if _is_same(path, identity, has_digest)), None)


def _is_same(folder: Path, identity: Mapping[str, object], has_digest: HasDigest) -> bool:
    try:
        return is_same_run(read_json(folder / "run.json"), identity, has_digest)
    except DataError:
        return False  # damaged: it is measured again in another folder


def _slug(name: str) -> str:
    """Return the last part of a path or identifier as a valid file name."""
    return re.sub(r"[^\w.-]+", "-", Path(name).expanduser().resolve().name) or "model"
