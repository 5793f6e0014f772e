"""A workbench with fake environments, whose records depend on the names of their libraries."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.logits import concatenate_states
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.fingerprints.storage import write_fingerprint
from benchmark.runs.environment import Environment
from benchmark.upgrades.probes import Probe
from benchmark.upgrades.venv_overlays import NotInstallableError, PythonEnvironment
from benchmark.upgrades.workbench import Workbench

Stages = Callable[[Mapping[str, str]], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class NamedEnvironment:
    """An environment that is only a name."""

    name: str
    libraries: Mapping[str, str]
    unmet: tuple[str, ...] = ()
    python: Path = Path("python")
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakeBuilder:
    """Builds names of environments.

    ``refused`` are requirements that cannot be installed; ``unmet`` has the declared requirement
    that one of the requirements breaks.
    """

    refused: frozenset[str] = frozenset()
    unmet: Mapping[str, str] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)

    def build(self, requirements: Sequence[str]) -> NamedEnvironment:
        """Return the environment, unless one of its requirements is refused."""
        if refused := self.refused & set(requirements):
            raise NotInstallableError(f"no {min(refused)}")
        libraries = dict(requirement.split("==") for requirement in requirements)
        self.built.append(" ".join(requirements))
        unmet = tuple(self.unmet[one] for one in requirements if one in self.unmet)
        return NamedEnvironment("+".join(requirements) or "unchanged", libraries, unmet)


@dataclass
class FakeBench(Workbench):
    """A workbench whose records follow from ``stages`` of the libraries; None is a crash.

    ``change`` changes the records further.
    ``drift`` is the change of the log-probabilities in nats. With ``--repeats`` among the probe's
    arguments a record has a noise floor.
    """

    builder: FakeBuilder
    stages: Stages = dict
    drift: Callable[[Mapping[str, str]], float] | None = None
    change: Callable[[Mapping[str, str], Fingerprint], Fingerprint] | None = None
    runs: list[str] = field(default_factory=list)

    def process(self, out: Path) -> dict[str, str]:
        """Return the number of a process after the first one."""
        match = re.search(r"\.process-(\d+)\.", out.name)
        return {"process": match[1]} if match else {}

    def _run(self, environment: PythonEnvironment, out: Path) -> str | None:
        assert isinstance(environment, NamedEnvironment)
        self.runs.append(environment.name)
        digests = self.stages({**environment.libraries, **self.process(out)})
        if digests is None:
            return "ImportError: broken release"
        stages = {name: StageRecord((digest([value]),) * 2) for name, value in digests.items()}
        sets = (AllowedSet(digest([digests.get("constraint")]), 1, 1),)
        record = Fingerprint(
            Environment(versions=environment.libraries),
            {"dataset": DATA, **stages},
            path=((1,), (1,)),
            output=((1,), (1,)),
            texts=("said", "said"),
            lengths=(3, 3),
            allowed=Allowed(sets, ((0,), (0,))),
            samples=(Sample("asked", (1, 2, 3)),) * 2,
        )
        if self.drift is not None:
            record = _drifted(record, self.drift(environment.libraries))
        if self.change is not None:
            record = self.change(environment.libraries, record)
        if "--repeats" in self.probe.arguments:
            record = replace(record, repeats=(Repeat(1, 1, "reversed", 0.01, 0.0, 0, 0),))
        write_fingerprint(record, out)
        return None


def _drifted(record: Fingerprint, change: float) -> Fingerprint:
    """Return the record with two positions, each with its own token and one other."""
    ids = np.array([[1, 9]], dtype=np.int32)
    logits = concatenate_states([ids] * 2, [np.array([[-0.1, -3.0]]) - change] * 2)
    stages = {**record.stages, "logits": StageRecord((digest([change]),) * 2)}
    return replace(record, stages=stages, logits=logits)


DATA = StageRecord((digest(["one"]), digest(["two"])))


def fake_bench(
    root: Path, stages: Stages, refused: frozenset[str] = frozenset()
) -> tuple[FakeBench, list[str]]:
    """Return a workbench that keeps its records under ``root``, and its lines of progress."""
    said = list[str]()
    builder = FakeBuilder(refused)
    bench = FakeBench(
        root, builder, Probe("vanilla", ("model",), ""), root, "code", said.append, stages=stages
    )
    return bench, said
