"""A workbench with named environments, whose records depend only on their libraries."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmark.fingerprints.digests import StageRecord, digest
from benchmark.fingerprints.logits import joined
from benchmark.fingerprints.noise import Repeat
from benchmark.fingerprints.record import Allowed, AllowedSet, Fingerprint, Sample
from benchmark.fingerprints.storage import write_fingerprint
from benchmark.runs.environment import Environment
from benchmark.upgrades.probes import Probe, Workbench
from benchmark.upgrades.venv_overlays import Installed, NotInstallableError

Stages = Callable[[Mapping[str, str]], Mapping[str, str] | None]


@dataclass(frozen=True, slots=True)
class NamedEnvironment:
    """An environment that has only a name and library versions."""

    name: str
    libraries: Mapping[str, str]
    python: Path = Path("python")


@dataclass
class FakeMaker:
    """Creates named environments; ``refused`` are requirements that cannot be installed."""

    refused: frozenset[str] = frozenset()
    made: list[str] = field(default_factory=list)

    def make(self, requirements: Sequence[str]) -> NamedEnvironment:
        """Return the environment, unless one of its requirements is refused."""
        if bad := self.refused & set(requirements):
            raise NotInstallableError(f"no {min(bad)}")
        libraries = dict(requirement.split("==") for requirement in requirements)
        self.made.append(" ".join(requirements))
        return NamedEnvironment("+".join(requirements) or "unchanged", libraries)


@dataclass
class FakeBench(Workbench):
    """A workbench whose records have the stages that ``stages`` returns for the libraries.

    If ``stages`` returns None, the environment crashes. ``drift`` returns the shift of the
    log-probabilities in nats. With ``--repeats`` in the probe's arguments a record has a noise
    floor of 0.01 nats.
    """

    stages: Stages = dict
    drift: Callable[[Mapping[str, str]], float] | None = None
    runs: list[str] = field(default_factory=list)

    def turns(self, out: Path) -> dict[str, str]:
        """Return the number of a repeated process, if it is not the first one."""
        match = re.search(r"\.process-(\d+)\.", out.name)
        return {"turn": match[1]} if match else {}

    def _run(self, environment: Installed, out: Path) -> str | None:
        assert isinstance(environment, NamedEnvironment)
        self.runs.append(environment.name)
        digests = self.stages({**environment.libraries, **self.turns(out)})
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
        if "--repeats" in self.probe.arguments:
            record = replace(record, repeats=(Repeat(1, 1, "reversed", 0.01, 0.0, 0, 0),))
        write_fingerprint(record, out)
        return None


def _drifted(record: Fingerprint, shift: float) -> Fingerprint:
    """Add logits of two positions, each with its own token and one alternative."""
    ids = np.array([[1, 9]], dtype=np.int32)
    logits = joined([ids] * 2, [np.array([[-0.1, -3.0]]) - shift] * 2)
    stages = {**record.stages, "logits": StageRecord((digest([shift]),) * 2)}
    return replace(record, stages=stages, logits=logits)


DATA = StageRecord((digest(["one"]), digest(["two"])))


def fake_bench(
    root: Path, stages: Stages, refused: frozenset[str] = frozenset()
) -> tuple[FakeBench, list[str]]:
    """Return a workbench that stores its records under ``root``, and its progress lines."""
    lines = list[str]()
    maker = FakeMaker(refused)
    bench = FakeBench(
        root, maker, Probe("vanilla", ("model",), ""), root, "code", lines.append, stages=stages
    )
    return bench, lines
