"""The table of a speed comparison."""

import io
from dataclasses import replace

from rich.console import Console

from benchmark.speed.figures import ArithmeticLimit, Figures
from benchmark.speed.specs import parse
from benchmark.speed.table import speed_notes, speed_table

SPECS = parse("outlines,speculative:bfloat16,llama.cpp,vllm-tuned:bfloat16", "float32", 32)
ROWS = [
    Figures(
        SPECS[0],
        states=32,
        rounds=3,
        seconds=6.512,
        spread=0.04,
        passes=58.0,
        tokens=489.0,
        peak_memory=1_412_345_678,
        times=1.0,
        same=32,
        compared=32,
        repeatable=True,
        to_limit=24.1,
    ),
    Figures(
        SPECS[1],
        states=717,
        rounds=3,
        seconds=0.312,
        spread=0.041,
        passes=1.6,
        tokens=161.0,
        peak_memory=912_345_678,
        times=20.9,
        same=23,
        compared=32,
        repeatable=False,
        to_limit=1.9,
    ),
    Figures(SPECS[2], states=32, rounds=1, seconds=2.5, spread=0.0, peak_memory=1),
    Figures(SPECS[3], 717, 0, failure="vllm-tuned: not installed; run: make speed-engines"),
]


def test_the_table_is_80_columns_wide() -> None:
    """There is one row per engine with its full name, and figures or dashes."""
    console = Console(file=io.StringIO(), width=80)
    console.print(speed_table("smollm2, 717 states", ROWS))
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert [" ".join(line.split()) for line in lines[4:7]] == [
        "outlines 32 6.512 4 58.0 489.0 1412 1.0 32/32 24.1",
        "speculative:bf16 717 0.312 4 1.6 161.0 912 20.9 23/32 1.9",
        "llama.cpp 32 2.500 - - - 0 - - -",
    ]
    assert lines[7].split() == ["vllm-tuned:bf16", *"---------"]


def test_long_names_continue_on_more_lines() -> None:
    """They are broken before a part, and no figure of the row is cut off."""
    name = "speculative+onednn-widened+unfused@best:bfloat16"
    (spec,) = parse(name, "float32", 32)
    console = Console(file=io.StringIO(), width=80)
    console.print(speed_table("smollm2", [replace(ROWS[1], spec=spec)]))
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()[4:8]]
    assert lines == [
        ["speculative", "717", "0.312", "4", "1.6", "161.0", "912", "20.9", "23/32", "1.9"],
        ["+onednn-widened"],
        ["+unfused@best"],
        [":bf16"],
    ]


def test_notes_below_the_table() -> None:
    """They have the engines not measured, with reasons, and those whose own rounds differ."""
    notes = "\n".join(speed_notes(ROWS, {}, SPECS[0], 3))
    assert "not measured: vllm-tuned: not installed; run: make speed-engines" in notes
    assert "speculative:bfloat16: answers differ between its own rounds" in notes
    assert "the paper's method, outlines in float32" in notes


def test_an_engine_below_the_limit_is_an_error_of_the_limit() -> None:
    """The notes say so with the engine and the dtype; other dtypes and numbers do not count.

    Nor do a sample of the states, and differences between rounds.
    """
    rows = [
        replace(ROWS[0], states=717, to_limit=0.94),
        replace(ROWS[0], states=32, to_limit=0.5),
        replace(ROWS[1], to_limit=0.99),
        replace(ROWS[2], states=717, to_limit=0.5),  # llama.cpp computes in its file's dtype
    ]
    limit = ArithmeticLimit(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, states=717)
    limits = {"float32": limit, "bfloat16": replace(limit, disturbed=True)}
    notes = speed_notes(rows, limits, SPECS[0], 3)
    (error,) = [note for note in notes if "wrong" in note]
    assert error.startswith(
        "The limit in float32 is wrong, too high: outlines took only 94 % of it. Either"
    )
    (uncertain,) = [note for note in notes if "uncertain" in note]
    assert uncertain == "The limit in bfloat16 is uncertain: other programs disturbed its timing."
    assert not [note for note in speed_notes(ROWS, limits, SPECS[0], 3) if "wrong" in note]


def test_products_are_named() -> None:
    """The notes have the matrix products of the engines that say them."""
    notes = speed_notes([replace(ROWS[1], products="mkl"), ROWS[0]], {}, SPECS[0], 3)
    assert "Matrix products used: speculative:bf16 mkl." in notes


def test_compiled_kernels_are_named() -> None:
    """The notes say which engines used any, and what compiled them."""
    rows = [replace(ROWS[1], kernels="Numba, tiles of AMX"), ROWS[0]]
    assert "Compiled kernels used: speculative:bf16 (Numba, tiles of AMX)." in speed_notes(
        rows, {}, SPECS[0], 3
    )
    assert not any("ernels" in note for note in speed_notes(ROWS, {}, SPECS[0], 3))
