"""Run old code in the new environment, to tell a code change from an environment change."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.errors import SettingError
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.comparison import FingerprintDiff
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.storage import read_fingerprint
from benchmark.models.digests import is_comparable
from benchmark.models.location import locate
from benchmark.package_data import package_parent
from benchmark.runs.environment import installed, versions
from benchmark.runs.settings import SETTINGS
from benchmark.upgrades.environment_diff import extent
from benchmark.upgrades.git_history import commit_of, worktree
from benchmark.upgrades.probes import Probe, Say, run_probe

_REPEATS = 2
"""Repeats of the old code if its record has none."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """Old and new record, each compared with a record of the old code in the new environment.

    ``combined`` is the change from old to new, ``by_environment`` that of the old code by the new
    environment, and ``by_code`` that by the new code in the new environment.
    """

    commit: str
    combined: FingerprintDiff
    by_environment: FingerprintDiff
    by_code: FingerprintDiff

    @property
    def verdict(self) -> str:
        """The cause of the change, in words."""
        environment, code = (
            not comparison.severity.within_noise
            for comparison in (self.by_environment, self.by_code)
        )
        if environment and code and self.combined.severity.within_noise:
            return "both: the environment changes the old code's record, the new code undoes it"
        if environment and code:
            return "both: the environment changes the old code's record, the new code changes more"
        if environment:
            return "the environment: the old code changes with it, the new code adds no change"
        if code:
            return "the code: the old code still makes the old record in this environment"
        if self.combined.severity.within_noise:
            return "none: no stage changed beyond noise"
        return "unclear: code and environment together exceed the noise floor, neither does alone"

    def as_json(self) -> dict[str, object]:
        """Return all fields by name."""
        return {
            "commit": self.commit,
            "verdict": self.verdict,
            "by_environment": self.by_environment.as_json(),
            "by_code": self.by_code.as_json(),
        }

    def lines(self) -> tuple[str, ...]:
        """Return the commit, a line per comparison, and the cause."""
        parts = (
            ("both", self.combined),
            ("environment", self.by_environment),
            ("code", self.by_code),
        )
        return (
            f"old code: commit {self.commit[:10]}",
            *(f"{name}: {_line(comparison)}" for name, comparison in parts),
            f"cause: {self.verdict}",
        )


def isolate(
    old: Path,
    new: Path,
    model: str,
    say: Say,
    commit: str | None = None,
    repository: Path | None = None,
) -> Isolation:
    """Run the code that made the old record in this environment, where the new one was made.

    The old code measures its own noise floor here, since rounding depends on the environment.

    Args:
        old: the path of the old record.
        new: the path of the new record, made in this environment.
        model: the model of both; a record does not hold its path.
        say: receives a line before the run.
        commit: the commit of the old code; by default found by the record's digests.
        repository: the folder of the git repository, by default this project's.

    Raises:
        SettingError: if this is not the new record's environment, there is no such commit, or the
            old code makes no record.
    """
    repository = repository or package_parent()
    before, now = read_fingerprint(old), read_fingerprint(new)
    _check_environment(now, new)
    _check_model(before, old, now, new, model)
    old_commit = commit or commit_of(before.code, repository)
    probe = _with_repeats(probe_of(before, model), before)
    with TemporaryDirectory() as folder, worktree(repository, old_commit) as old_code:
        say(f"code of {old_commit[:10]}, on {model}")
        middle = _record(probe, old_code, Path(folder) / "old.json.gz", old)
    return Isolation(
        old_commit, compare(before, now), compare(before, middle), compare(middle, now)
    )


def _check_environment(record: Fingerprint, path: Path) -> None:
    """Refuse to run the old code in an environment other than the new record's."""
    recorded = record.environment.versions
    actual = {**installed(recorded), **versions()}  # some records name libraries of single stages
    names = sorted((recorded.keys() | actual.keys()) - {"benchmark"})
    for name in names:
        if recorded.get(name) != actual.get(name):
            raise SettingError(
                f"{path}: made with {name} {recorded.get(name, '(none)')}, but "
                f"{actual.get(name, '(none)')} is installed; isolate in the environment "
                "that made it"
            )


def _check_model(before: Fingerprint, old: Path, now: Fingerprint, new: Path, model: str) -> None:
    """Refuse different models: they differ for reasons other than code and environment."""
    records = ((old, before), (new, now))
    digests = {path: str(r.environment.model.get("fingerprint", "")) for path, r in records}
    if not all(digests.values()):
        return  # records of vanilla use have only a folder's name
    if digests[old] != digests[new] and is_comparable(digests[old], digests[new]):
        raise SettingError(f"{old} and {new} are of different models; isolate two of one model")
    if not locate(model).has_digest(digests[old]):
        raise SettingError(f"--model {model}: not the model that {old} was made with")


def _with_repeats(probe: Probe, record: Fingerprint) -> Probe:
    """Repeat a fingerprint as often as the record's own; other records have no noise floor."""
    if probe.kind != "fingerprint":
        return probe
    repeats = ("--repeats", str(len(record.repeats) or _REPEATS))
    return replace(probe, arguments=(*probe.arguments, *repeats))


def probe_of(record: Fingerprint, model: str) -> Probe:
    """Return the probe that makes such a record again.

    Raises:
        SettingError: if the data came from a file, whose path a record does not hold.
    """
    protocol, data = record.environment.protocol, record.environment.data
    if data.get("source", "generated") != "generated":
        raise SettingError("the record's data came from a file; isolate needs generated data")
    resolved = str(Path(model).resolve()) if Path(model).exists() else model
    seed = ["--seed", str(data.get("seed") or 0)]
    states = ["--states", str(data.get("states") or record.states)]
    if task := data.get("task"):
        states += ["--task", str(task)]
    if protocol.get("name") == "vanilla":
        return Probe("vanilla", (resolved, *seed, *states), "")
    recorded = {**protocol, "protocol": protocol.get("name")}
    options = ((f"--{name.replace('_', '-')}", recorded.get(name)) for name in SETTINGS)
    settings = [
        str(part) for option, value in options if value is not None for part in (option, value)
    ]
    return Probe("fingerprint", (resolved, *seed, *states, *settings), "")


def _record(probe: Probe, project: Path, out: Path, along: Path) -> Fingerprint:
    reason = run_probe(Path(sys.executable), project, probe, out, along.resolve())
    if reason is not None:
        raise SettingError(f"the code in {project} made no record here: {reason}")
    return read_fingerprint(out)


def _line(comparison: FingerprintDiff) -> str:
    severity = comparison.severity
    return severity.value if severity.within_noise else f"{severity.value}, {extent(comparison)}"
