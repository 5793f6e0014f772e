"""Options whose values are the rows of a table, which may grow: engines, tasks, prompt variants.

Options with fixed values are ``Literal`` types; these read their table when they are used.
"""

import re
from collections.abc import Callable, Iterable, Sequence

import typer

Check = Callable[[str | None], str | None]

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+(,\d+)*)?")


def engine_names() -> Sequence[str]:
    """Return the engines that ``run`` can decode with."""
    from benchmark.decoding.engines import decoding_engines

    return decoding_engines()


def task_names() -> Sequence[str]:
    """Return the tasks; they are slow to import."""
    from benchmark.tasks import TASKS

    return tuple(TASKS)


def variant_names() -> Sequence[str]:
    """Return the wordings of a completion prompt."""
    from benchmark.prompts.settings import variants

    return tuple(variants())


def one_of(names: Callable[[], Sequence[str]], default: str | None = None) -> Check:
    """Return a check that a value is one of these; the default is not looked up."""

    def check(value: str | None) -> str | None:
        if value is not None and value != default and value not in names():
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, names()))}")
        return value

    return check


def completed(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what completes a value in a shell."""

    def matching(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return matching


def check_device(value: str) -> str:
    """Check the form of a device; whether it exists is seen when it is used."""
    if not _DEVICE.fullmatch(value):
        raise typer.BadParameter(f"{value!r} is not auto, cpu, cuda, cuda:N or cuda:N,M")
    return value
