"""``list``: what other verbs take by name."""

import json

import pytest

from benchmark.decoding.engines import ENGINES
from benchmark.models.registry import registry
from benchmark.tasks import TASKS
from fakes.command_line import command_line

NAMES = {
    "models": list(registry().models),
    "pairs": list(registry().pairs),
    "engines": list(ENGINES),
    "tasks": list(TASKS),
}


@pytest.mark.parametrize("kind", NAMES)
def test_every_name_is_listed(kind: str) -> None:
    """The table has each name whole, in 80 columns; the JSON has the same rows."""
    done = command_line("list", kind)
    assert done.returncode == 0, done.stderr
    first = [line.split()[0] for line in done.stdout.splitlines() if line.strip()]
    assert [name for name in first if name in NAMES[kind]] == NAMES[kind]
    assert "\u2026" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    rows = json.loads(command_line("list", kind, "--json").stdout)
    assert [row[kind.removesuffix("s")] for row in rows] == NAMES[kind]


def test_engines_have_their_description() -> None:
    """So that one can be chosen without the documentation."""
    words = " ".join(command_line("list", "engines").stdout.split())
    assert ENGINES["speculative"].about in words


def test_models_of_an_own_registry() -> None:
    """--registry adds the user's models and pairs."""
    rows = command_line("list", "pairs", "--registry", "fixtures/models/registry.toml").stdout
    assert "control-copy-a-to-track" in rows
