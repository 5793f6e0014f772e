"""Everything that a run's score depends on, in one document."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmark import __version__
from benchmark.boxes.dataset import rows
from benchmark.decoding.engine import Limits
from benchmark.models.hardware import describe
from benchmark.models.loading import LoadOptions
from benchmark.models.location import Location
from benchmark.prompts.settings import PromptSettings
from benchmark.records import State, TokenIds
from benchmark.regression.environment import versions


@dataclass(frozen=True, slots=True)
class Settings:
    """A protocol as it is carried out: its name, what was changed of it, and every value."""

    name: str
    changed: tuple[str, ...]
    engine: str
    prompt: PromptSettings
    limits: Limits
    options: LoadOptions

    def as_json(self) -> dict[str, object]:
        """The settings by name."""
        return {
            "name": self.name,
            "engine": self.engine,
            **self.prompt.as_json(),
            **asdict(self.limits),
            **asdict(self.options),
            # Which of several like GPUs it is changes nothing.
            "device": self.options.device.partition(":")[0],
            "changed": list(self.changed),
        }


def identity(
    settings: Settings,
    location: Location,
    states: Sequence[State],
    prompts: Sequence[TokenIds],
    expression: str | None,
    tokenizing: Mapping[str, object],
) -> dict[str, object]:
    """What the result depends on: model, data, prompts, constraint, settings, environment.

    ``tokenizing`` says what decided on the BOS, and of how many prompts transformers makes other
    token ids than ``tokenizer.json`` as it stands.
    """
    return {
        "model": {"name": location.name, "fingerprint": location.fingerprint},
        "data": {
            "states": len(states),  # before the digest: what differs first is said
            "sha256": _digest(row for state in states for row in rows(state)),
        },
        "prompts": {
            "sha256": _digest(" ".join(map(str, ids)) for ids in prompts),
            **tokenizing,
        },
        "constraint": {"expression": expression},
        "protocol": settings.as_json(),
        "environment": {
            "benchmark": __version__,
            "hardware": describe(settings.options.device),
            "versions": versions(),
        },
    }


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
