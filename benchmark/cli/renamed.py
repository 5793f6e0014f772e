"""Verbs and options of earlier versions: a usage error that names today's command."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from typer import BadParameter

if TYPE_CHECKING:
    from typer._click import Context


class _Renamed(NamedTuple):
    """Today's words for a verb, and today's names of its options."""

    words: tuple[str, ...]
    options: Mapping[str, str] = {}


_VERBS = {
    "vanilla": _Renamed(("fingerprint", "--probe", "vanilla")),
    "tokenizers": _Renamed(("fingerprint", "--probe", "tokenizers")),
    "hub-folder": _Renamed(("fetch",), {"--out": "--hub-folder"}),
    "models": _Renamed(("list", "models")),
    "pairs": _Renamed(("list", "pairs")),
    "engines": _Renamed(("list", "engines")),
    "tasks": _Renamed(("list", "tasks")),
}
"""Verbs that were renamed, and those that are guessed for ``list``."""


class RenamedError(BadParameter):
    """A usage error whose message is the whole line."""

    def format_message(self) -> str:
        """Return the message alone."""
        return self.message


def check_renamed(ctx: "Context", arguments: Sequence[str]) -> None:
    """Check that the first argument is no verb that was renamed.

    Raises:
        RenamedError: with the same command in today's words.
    """
    renamed = _VERBS.get(arguments[0])
    if renamed is None:
        return
    rest = [_today(word, renamed.options) for word in arguments[1:]]
    command = f"{ctx.command_path} {shlex.join([*renamed.words, *rest])}"
    raise RenamedError(f"{arguments[0]} is now {' '.join(renamed.words)}; run: {command}", ctx)


def _today(word: str, options: Mapping[str, str]) -> str:
    name, separator, value = word.partition("=")
    return f"{options.get(name, name)}{separator}{value}"
