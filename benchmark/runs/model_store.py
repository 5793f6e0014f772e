"""Each model measured once, however many pairs share it, in however many processes and runs.

A measurement's folder is named after the model and a digest of its identity, everything that
can change a score: another library version, dtype or data set is another folder.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from benchmark.runs.loading import Loaders
from benchmark.runs.measure import Prepared, RunResult, execute, prepare
from benchmark.runs.placement import AsAsked, Placement
from benchmark.runs.requests import Progress, RunRequest


@dataclass
class ModelStore:
    """Measurements in a folder on disk, safe under several processes."""

    folder: Path
    progress: Progress
    placement: Placement = field(default_factory=AsAsked)
    loaders: Loaders = field(default_factory=Loaders)

    def measure(self, request: RunRequest) -> RunResult:
        """The measurement of the request, made now or taken from the store.

        ``request.out`` is left aside. Where another process is measuring the same, this waits;
        where one was killed, this goes on.

        Raises:
            BenchmarkError: as :func:`benchmark.runs.measure.execute`.
        """
        return self.measure_prepared(request, prepare(request, self.progress, self.loaders))

    def measure_prepared(self, request: RunRequest, prepared: Prepared) -> RunResult:
        """Return the same for a request that has been prepared already."""
        digest = hashlib.sha256(json.dumps(prepared.identity, sort_keys=True).encode())
        out = self.folder / f"{_slug(request.model)}-{digest.hexdigest()[:12]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        # Not RunFolder's own lock, which refuses: here the second one waits for the first.
        with FileLock(self.folder / f"{out.name}.lock"):
            return execute(
                prepared,
                out,
                self.progress,
                placed=lambda: self.placement.place(prepared),
                loaders=self.loaders,
            )


def _slug(name: str) -> str:
    """The last part of a path or identifier, fit for a file name."""
    return re.sub(r"[^\w.-]+", "-", Path(name).name) or "model"
