"""Alarms from run to run: one that stays, or comes and goes, is reported once.

==============  ==================================================================
``open``        raised now, and not within the last 30 runs
``still open``  raised before and now
``quiet``       open, but not raised in the last one or two runs
``closed``      not raised for three runs in a row
``reopened``    raised again within 30 runs after it was closed
==============  ==================================================================
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

AlarmState = Literal["open", "still open", "quiet", "closed", "reopened"]
Action = Literal["open", "reopen", "update", "close", "none"]

CLOSE_AFTER = 3
"""Runs in a row without an alarm after which it is closed."""

REOPEN_WITHIN = 30
"""Runs after its end within which an alarm that is raised again is the same one."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm after a run.

    Attributes:
        name: what was raised.
        state: its state.
        since: number of the run that opened it, from 0.
        clean: runs in a row without it.
        watch: the watch that raised it; runs of other watches do not count.
    """

    name: str
    state: AlarmState
    since: int
    clean: int = 0
    watch: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.state != "closed"


@dataclass(frozen=True, slots=True)
class AlarmBook:
    """All alarms after the last run, and what is to be done with an issue about them.

    Attributes:
        alarms: those that are open, or were closed within the last 30 runs.
        action: ``open`` an issue, ``reopen`` the last one, ``update`` its text because other alarms
            are open than before, ``close`` it, or ``none``.
    """

    alarms: Sequence[Alarm] = ()
    action: Action = "none"

    @property
    def open(self) -> list[Alarm]:
        """The alarms that are open."""
        return [alarm for alarm in self.alarms if alarm.is_open]


def follow(raised: Sequence[Collection[str]], watches: Sequence[str] = ()) -> AlarmBook:
    """Return the alarms after the last of these runs.

    Args:
        raised: the names that each run raised, the oldest run first.
        watches: the watch of each run; empty if all are of the same one.
    """
    book = AlarmBook()
    for number, (names, watch) in enumerate(
        zip(raised, watches or [""] * len(raised), strict=True)
    ):
        book = _after(book, names, number, watch)
    return book


def _after(book: AlarmBook, names: Collection[str], number: int, watch: str) -> AlarmBook:
    present = {alarm.name for alarm in book.alarms if alarm.watch == watch}
    new = [Alarm(name, "open", number, 0, watch) for name in sorted(set(names) - present)]
    moved = [
        _moved(alarm, raised=alarm.name in names) if alarm.watch == watch else alarm
        for alarm in book.alarms
    ]
    kept = [alarm for alarm in moved if alarm.clean < CLOSE_AFTER + REOPEN_WITHIN]
    alarms = (*kept, *new)
    return AlarmBook(alarms, _action(book, alarms))


def _moved(alarm: Alarm, *, raised: bool) -> Alarm:
    if raised:
        return replace(alarm, state="still open" if alarm.is_open else "reopened", clean=0)
    clean = alarm.clean + 1
    return replace(alarm, state="closed" if clean >= CLOSE_AFTER else "quiet", clean=clean)


def _action(before: AlarmBook, alarms: Sequence[Alarm]) -> Action:
    opened = {(alarm.watch, alarm.name) for alarm in alarms if alarm.is_open}
    old = {(alarm.watch, alarm.name) for alarm in before.open}
    if opened == old:
        return "none"
    if not opened:
        return "close"
    if old:
        return "update"
    return "reopen" if any(alarm.state == "reopened" for alarm in alarms) else "open"
