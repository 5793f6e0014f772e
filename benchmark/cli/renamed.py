"""Verbs and options of earlier versions: a usage error that names today's command."""

import shlex
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from typer import BadParameter, TyperException

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
    for option in renamed.options.values():
        if not any(word.partition("=")[0] == option for word in rest):
            rest += [option, "DIR"]
    command = f"{ctx.command_path} {shlex.join([*renamed.words, *rest])}"
    raise RenamedError(f"{arguments[0]} is now {' '.join(renamed.words)}; run: {command}", ctx)


def _today(word: str, options: Mapping[str, str]) -> str:
    name, separator, value = word.partition("=")
    return f"{options.get(name, name)}{separator}{value}"


def check_json_flag(ctx: "Context", arguments: Sequence[str], error: TyperException) -> None:
    """Explain a usage error that comes from ``--json FILE``, as some verbs once took it.

    Raises:
        RenamedError: with the same command in today's words.
    """
    for place, (word, following) in enumerate(zip_longest(arguments, arguments[1:])):
        if word == "--json" and following and not following.startswith("-"):
            spelled = "--json-file"
        elif word.startswith("--json="):
            spelled = word.replace("--json=", "--json-file=")
        else:
            continue
        rest = [*arguments[:place], spelled, *arguments[place + 1 :]]
        command = f"{ctx.command_path} {shlex.join(rest)}"
        message = f"--json prints to standard output; to write a file, run: {command}"
        raise RenamedError(message, ctx) from error


def check_json_file(names: Sequence[str]) -> None:
    """Check that none of these names of libraries is a file, as after ``--json FILE``.

    Raises:
        SettingError: with the option that writes a file.
    """
    from benchmark.errors import SettingError

    for name in names:
        if name.endswith(".json") or "/" in name:
            raise SettingError(
                f"{name} is not a library; --json prints to standard output, and "
                f"--json-file {name} writes a file"
            )
