"""The identity of a run: everything that its score depends on."""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict

from benchmark import __version__
from benchmark.models.bos import BosRule
from benchmark.models.hardware import described_products
from benchmark.models.location import Location
from benchmark.records import State, TokenIds
from benchmark.runs.environment import versions
from benchmark.runs.evaluation import Questions
from benchmark.tasks import DEFAULT, Task


def identity(questions: Questions, location: Location, bos: BosRule) -> dict[str, object]:
    """Return what a result depends on: model, data, prompts, constraint, settings, environment.

    ``bos`` says whether the tokenizer adds a BOS, and what decided that.
    """
    settings, task = questions.settings, questions.task
    constrained = settings.engine_row.constrained
    return {
        "model": {"name": location.name, "fingerprint": location.digest},
        "data": {
            **({} if task.name == DEFAULT else {"task": task.name}),
            "states": len(questions.states),  # before the digest: the first difference is reported
            "sha256": data_digest(task, questions.states),
        },
        "prompts": {
            "sha256": prompts_digest(questions.prompt_ids),
            "tokenizer_bos": asdict(bos),
        },
        "constraint": {"expression": task.expression if constrained else None},
        **({"engine": dict(settings.connection.facts)} if settings.connection else {}),
        "protocol": settings.as_json(),
        "environment": {
            "benchmark": __version__,
            "hardware": described_products(settings.options.device),
            "versions": versions(),
        },
    }


def data_digest(task: Task, states: Iterable[State]) -> str:
    """Return the digest of states as a task writes them, in their order."""
    return _digest(row for state in states for row in task.rows(state))


def prompts_digest(prompts: Iterable[TokenIds]) -> str:
    """Return the digest of prompts as token ids, in the order of the data."""
    return _digest(" ".join(map(str, ids)) for ids in prompts)


def _digest(lines: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
