"""Which of the measured engines to take for this model on this machine."""

from collections.abc import Sequence

from benchmark.speed.figures import Figures

_OWN = "own"


def choice_notes(rows: Sequence[Figures]) -> list[str]:
    """Return lines that name the engine to take, by the rounds that were measured.

    It is the fastest whose answers all have the tokens of the paper's method. Engines that are
    slower by less than the rounds differ are named with it. An engine that needs no other
    installation and no server is named too, and so are faster ones with other tokens. Without a row
    of the paper's method nothing is said of tokens.
    """
    usable = [
        row
        for row in rows
        if row.seconds is not None and row.spec.engine.constrained and row.repeatable is not False
    ]
    if not usable:
        return []
    compared = [row for row in usable if row.compared]
    same = [row for row in compared if row.same == row.compared]
    if not compared:
        line = "Whether its tokens are those of the paper's method was not compared (add outlines)."
        return [f"Fastest here: {_listed(_fastest(usable))}. {line}"]
    if not same:
        return ["No engine here has all tokens of the paper's method; --verify has the margins."]
    best = _fastest(same)
    answers = min(row.compared or 0 for row in best)
    purpose = f"for the tokens of the paper's method ({answers} answers compared)"
    notes = [f"Take here, {purpose}: {_listed(best)}."]
    if not any(map(_is_here, best)) and (here := [row for row in same if _is_here(row)]):
        times = _seconds(min(here, key=_seconds)) / _seconds(best[0])
        notes.append(
            f"With no other installation: {_listed(_fastest(here))}, {times:.2f} times as long."
        )
    if faster := [
        f"{row.spec.label} ({row.same} of {row.compared} answers the same)"
        for row in compared
        if row not in same and _seconds(row) < _seconds(best[0])
    ]:
        notes.append(f"Faster, with other tokens: {', '.join(faster)}; certify their answers.")
    return notes


def _fastest(rows: Sequence[Figures]) -> list[Figures]:
    """Return the fastest engine, and those that its rounds and theirs do not tell from it."""
    ordered = sorted(rows, key=_seconds)
    first = ordered[0]
    return [row for row in ordered if _seconds(row) - _seconds(first) <= _noise(first, row)]


def _noise(*rows: Figures) -> float:
    """Return the largest difference between two rounds of one of these engines, in seconds."""
    return max((row.spread or 0.0) * _seconds(row) for row in rows)


def _seconds(row: Figures) -> float:
    return row.seconds or 0.0


def _is_here(row: Figures) -> bool:
    return row.spec.traits.environment == _OWN and not row.spec.traits.elsewhere


def _listed(rows: Sequence[Figures]) -> str:
    """Return the engines with their seconds, the fastest first."""
    return " or ".join(f"{row.spec.label} ({_seconds(row):.3f} s per state)" for row in rows)
