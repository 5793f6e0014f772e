"""Old code in the new environment: was it the code or the environment that moved a stage?"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.errors import SettingError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.models.location import locate
from benchmark.runs.environment import installed, versions
from benchmark.runs.settings import SETTINGS
from benchmark.upgrades.findings import size
from benchmark.upgrades.git_history import commit_of, worktree
from benchmark.upgrades.probes import Probe, Say, run_probe
from benchmark.upgrades.venv_overlays import project_root

_REPEATS = 2
"""Of the old code, where its record has none."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What moved in all, what the environment moves with the old code, and what the code does."""

    commit: str
    whole: FingerprintDiff
    by_environment: FingerprintDiff
    by_code: FingerprintDiff

    @property
    def verdict(self) -> str:
        """Whose doing it is, in words."""
        environment, code = (
            not each.severity.within_noise for each in (self.by_environment, self.by_code)
        )
        if environment and code and self.whole.severity.within_noise:
            return "both: the environment moves the old code, and the new code moves it back"
        if environment and code:
            return "both: the environment moves the old code too, and the code moves more"
        if environment:
            return "the environment: the old code moves with it, and the new code moves no more"
        if code:
            return "the code: the old code gives the old record in this environment"
        if self.whole.severity.within_noise:
            return "nothing: no stage moved beyond noise"
        return "neither alone: only both together are beyond noise"

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "commit": self.commit,
            "verdict": self.verdict,
            "by_environment": self.by_environment.as_json(),
            "by_code": self.by_code.as_json(),
        }

    def lines(self) -> tuple[str, ...]:
        """The commit, the three comparisons, a line each, and the verdict."""
        parts = (
            ("both", self.whole),
            ("environment", self.by_environment),
            ("code", self.by_code),
        )
        return (
            f"old code: commit {self.commit[:10]}",
            *(f"{name}: {_told(comparison)}" for name, comparison in parts),
            f"it was {self.verdict}",
        )


def isolate(
    old: Path,
    new: Path,
    model: str,
    say: Say,
    commit: str | None = None,
    repository: Path | None = None,
) -> Isolation:
    """Run the code that made the old record in the environment of the new one, which is this one.

    The old code measures its own noise floor here: what it rounds in this environment says what
    the new code may round otherwise.

    Args:
        old: the record held against.
        new: the record of now, made in this environment.
        model: the same model; a record does not say where it is.
        say: gets a line before the run.
        commit: of the old code; found by the record's digests where it is not given.
        repository: where the project's git is; its own folder where it is not given.

    Raises:
        SettingError: when this is not the new record's environment, when there is no such commit,
            or when the old code makes no record.
    """
    known = repository or project_root()
    before, now = read_fingerprint(old), read_fingerprint(new)
    _check_environment(now, new)
    _check_model(before, old, now, new, model)
    found = commit or commit_of(before.code, known)
    probe = _measuring(probe_of(before, model), before)
    with TemporaryDirectory() as folder, worktree(known, found) as old_code:
        say(f"code of {found[:10]}, on {model}")
        middle = _record(probe, old_code, Path(folder) / "old.json.gz", old)
    return Isolation(found, compare(before, now), compare(before, middle), compare(middle, now))


def _check_environment(record: Fingerprint, path: Path) -> None:
    """The old code is run here, so here has to be where the new record was made."""
    recorded = record.environment.versions
    here = {**installed(recorded), **versions()}  # a stage's own libraries are not in every record
    names = sorted((recorded.keys() | here.keys()) - {"benchmark"})
    for name in names:
        if recorded.get(name) != here.get(name):
            raise SettingError(
                f"{path}: made with {name} {recorded.get(name, '(none)')}, and here it is "
                f"{here.get(name, '(none)')}; isolate in the environment that made it"
            )


def _check_model(before: Fingerprint, old: Path, now: Fingerprint, new: Path, model: str) -> None:
    """Another model would move what neither code nor environment did."""
    records = ((old, before), (new, now))
    made = {path: str(r.environment.model.get("fingerprint", "")) for path, r in records}
    if not all(made.values()):
        return  # vanilla use: a folder's name is all that is known of it
    if made[old] != made[new]:
        raise SettingError(f"{old} and {new} are of two models; isolate two records of one")
    if locate(model).digest != made[old]:
        raise SettingError(f"--model {model}: not the model that {old} was made with")


def _measuring(probe: Probe, record: Fingerprint) -> Probe:
    """A fingerprint with as many repeats as the record has; vanilla use rounds nothing."""
    if probe.kind != "fingerprint":
        return probe
    repeats = ("--repeats", str(len(record.repeats) or _REPEATS))
    return replace(probe, arguments=(*probe.arguments, *repeats))


def probe_of(record: Fingerprint, model: str) -> Probe:
    """What to run to make such a record again.

    Raises:
        SettingError: when the data came from a file, whose place a record does not hold.
    """
    protocol, data = record.environment.protocol, record.environment.data
    if data.get("source", "generated") != "generated":
        raise SettingError("the record's data came from a file; isolate takes generated data only")
    resolved = str(Path(model).resolve()) if Path(model).exists() else model
    seed = ["--seed", str(data.get("seed") or 0)]
    states = ["--states", str(data.get("states") or record.states)]
    if task := data.get("task"):
        states += ["--task", str(task)]
    if protocol.get("name") == "vanilla":
        return Probe("vanilla", (resolved, *seed, *states), "")
    recorded = {**protocol, "protocol": protocol.get("name")}
    options = ((f"--{name.replace('_', '-')}", recorded.get(name)) for name in SETTINGS)
    given = [
        str(part) for option, value in options if value is not None for part in (option, value)
    ]
    return Probe("fingerprint", (resolved, *seed, *states, *given), "")


def _record(probe: Probe, project: Path, out: Path, along: Path) -> Fingerprint:
    reason = run_probe(Path(sys.executable), project, probe, out, along.resolve())
    if reason is not None:
        raise SettingError(f"the code in {project} makes no record here: {reason}")
    return read_fingerprint(out)


def _told(comparison: FingerprintDiff) -> str:
    severity = comparison.severity
    return severity.value if severity.within_noise else f"{severity.value}, {size(comparison)}"
