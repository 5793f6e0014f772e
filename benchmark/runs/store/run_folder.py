"""The folder of a run: its predictions while it runs, and its result at the end.

``run.json`` has the identity of the run, ``predictions.jsonl`` grows batch by batch, and
``progress.json`` has the progress notes. At the end the predictions are sorted into the order of
the data and ``result.json`` is written. A killed run leaves complete predictions and at most one
incomplete line, which is dropped when the run is resumed.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from benchmark.errors import ResumeError
from benchmark.models.digests import is_local
from benchmark.reading import read_json
from benchmark.scoring.predictions import prediction_line, read_predictions
from benchmark.tasks import DEFAULT
from benchmark.writing import write_text

Identity = Mapping[str, object]
"""Everything that can change a score; JSON values by name."""

HasDigest = Callable[[str], bool]


def comparable(identity: Identity) -> dict[str, object]:
    """Return an identity without parts that change no score.

    They are the path of a local model, whose files the digest pins (two spellings of a path, or a
    folder that was moved, are the same model), and a count that versions up to 0.1 recorded with
    the prompts.
    """
    parts = dict(identity)
    match identity.get("prompts"):
        case {"read_otherwise": _, **prompts}:
            parts["prompts"] = prompts
    match identity.get("model"):
        case {"fingerprint": str(digest), **model} if is_local(digest):
            model.pop("name", None)
            parts["model"] = {**model, "fingerprint": digest}
    return parts


def is_same_run(stored: Identity, identity: Identity, has_digest: HasDigest) -> bool:
    """Return whether a stored identity is of the run with another one.

    ``has_digest`` says whether a digest, also one of an older version, is of the model's files.
    """
    return comparable(_with_current_digest(stored, identity, has_digest)) == comparable(identity)


def _with_current_digest(
    stored: Identity, identity: Identity, has_digest: HasDigest
) -> dict[str, object]:
    """Return the stored identity with the model's current digest, if its own is of the model."""
    match stored.get("model"), identity.get("model"):
        case (
            {"fingerprint": str(old), **model},
            {"fingerprint": str(digest)},
        ) if old != digest and has_digest(old):
            return {**stored, "model": {**model, "fingerprint": digest}}
    return dict(stored)


class RunFolder:
    """The folder of one run, used by one process at a time."""

    def __init__(
        self,
        path: Path,
        identity: Identity,
        *,
        set_aside: bool = False,
        has_digest: HasDigest = lambda _: False,
    ) -> None:
        """Name the folder and the run; nothing is read or written yet.

        With ``set_aside`` a different run in the folder is moved to ``NAME.1`` next to it.
        ``has_digest`` says whether a recorded digest of an older version is of the model's files.
        """
        self.path = path
        self.predictions = path / "predictions.jsonl"
        self._run = path / "run.json"
        self._notes = path / "progress.json"
        self._result = path / "result.json"
        self.identity: dict[str, object] = json.loads(json.dumps(identity))
        """The identity; once the folder is locked, with the model's path as ``run.json`` has it."""
        self._set_aside = set_aside
        self._has_digest = has_digest
        self._lock = FileLock(path / ".lock")
        self._written: list[str] | None = None
        """The descriptions in ``predictions.jsonl``, in its order, once it has been read."""

    def __enter__(self) -> Self:
        """Lock the folder, which is new or of the same run.

        Raises:
            ResumeError: when another process uses it, or it holds a different run.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ResumeError(
                f"{self.path}: another process is writing here; wait until it ends"
            ) from error
        try:
            self._claim()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the folder."""
        self._lock.release()

    def read_predictions(self) -> dict[str, str]:
        """Return the predictions in the folder by description, dropping an incomplete last line."""
        predictions = {}
        if self.predictions.exists():
            self._drop_incomplete_line()
            predictions = read_predictions(self.predictions)
        self._written = list(predictions)
        return predictions

    def append_predictions(self, predictions: Iterable[tuple[str, str]]) -> None:
        """Append predictions, as (description, text), and flush them to disk."""
        added = list(predictions)
        lines = "".join(prediction_line(description, text) for description, text in added)
        try:
            with self.predictions.open("a", encoding="utf-8", newline="") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.predictions)) from error
        if self._written is not None:
            self._written += [description for description, _ in added]

    def read_result(self) -> dict[str, object]:
        """Return the content of ``result.json``; empty if the run is not finished."""
        return read_json(self._result) if self._result.exists() else {}

    def read_progress(self) -> dict[str, object]:
        """Return the progress notes; empty if there are none yet."""
        return read_json(self._notes) if self._notes.exists() else {}

    def write_progress(self, notes: Mapping[str, object]) -> None:
        """Write the progress notes, for when the run is resumed."""
        write_text(self._notes, [json.dumps(notes), "\n"])

    def finish(self, result: Mapping[str, object], predictions: Iterable[tuple[str, str]]) -> Path:
        """Write the predictions in this order and the result; return the path of the result.

        Engines finish states in another order, which a finished run does not show.
        """
        ordered = list(predictions)
        if self._written != [description for description, _ in ordered]:
            write_text(self.predictions, [prediction_line(*pair) for pair in ordered])
        if self.read_result() != json.loads(json.dumps(result)):
            write_text(self._result, [json.dumps(result, indent=2), "\n"])
        return self._result

    def _claim(self) -> None:
        problem = ""
        if self._run.exists():
            stored = read_json(self._run)
            current = _with_current_digest(stored, self.identity, self._has_digest)
            problem = _problem(current, self.identity)
            if not problem:
                self.identity = stored
                return
        elif self.predictions.exists():
            problem = "its run.json is missing"
        if problem:
            if not self._set_aside:
                raise ResumeError(
                    f"{self.path}: holds a different run ({problem}); choose another --out, or "
                    "move that run away with --set-aside"
                )
            self._move_away()
        write_text(self._run, [json.dumps(self.identity, indent=2), "\n"])

    def _move_away(self) -> None:
        """Move the run in the folder to the first free ``NAME.1``, ``NAME.2``, ..."""
        folder = self.path.resolve()  # "." has no name
        candidates = (folder.with_name(f"{folder.name}.{n}") for n in count(1))
        target = next(path for path in candidates if not path.exists())
        target.mkdir()
        # run.json is moved last: if this is interrupted, the folder still says which run it holds.
        for path in (self._result, self.predictions, self._notes, self._run):
            if path.exists():
                path.rename(target / path.name)

    def _drop_incomplete_line(self) -> None:
        with self.predictions.open("r+b") as file:
            content = file.read()
            end = content.rfind(b"\n") + 1
            if end < len(content):
                file.truncate(end)


def _problem(stored: Identity, identity: Identity) -> str:
    """Describe the first difference between two runs; empty if they are the same run."""
    old, new = comparable(stored), comparable(identity)
    if old.get("model") != new.get("model"):
        return _difference(stored, identity)  # the name says more than the digest
    return _difference(old, new)


def _difference(old: object, new: object, name: str = "run") -> str:
    """Describe the first difference, down to the innermost name; empty if there is none."""
    if isinstance(old, dict) and isinstance(new, dict):
        parts = (_difference(_value(old, key), _value(new, key), key) for key in [*new, *old])
        return next(filter(None, parts), "")
    return "" if old == new else f"{name} was {_shown(old)}, now {_shown(new)}"


def _value(document: Mapping[str, object], name: str) -> object:
    """Return a value of an identity, which leaves out the default task."""
    return document.get(name, DEFAULT if name == "task" else None)


def _shown(value: object) -> str:
    return "not set" if value is None else json.dumps(value)
