"""The engine to take, by what was measured."""

from benchmark.speed.choice import choice_notes
from benchmark.speed.figures import Figures
from benchmark.speed.specs import parse


def _row(
    engine: str,
    seconds: float | None,
    same: int | None = 4,
    spread: float = 0.0,
    *,
    repeatable: bool = True,
) -> Figures:
    (spec,) = parse(engine, "float32", 32)
    compared = None if same is None else 4
    return Figures(spec, 4, 2, seconds, spread, same=same, compared=compared, repeatable=repeatable)


PAPER = _row("outlines", 9.0)


def test_the_fastest_with_the_papers_tokens() -> None:
    """One that is installed with the benchmark needs no second line."""
    rows = [PAPER, _row("speculative", 1.2), _row("vllm-tuned", 1.5)]
    (line,) = choice_notes(rows)
    assert line.endswith("paper's method (4 answers compared): speculative (1.200 s per state).")


def test_an_engine_that_needs_an_installation() -> None:
    """The best of the others is named, with how much longer it takes; a server is none of them."""
    rows = [PAPER, _row("vllm-tuned", 1.0), _row("server", 0.8), _row("speculative", 1.2)]
    take, here = choice_notes(rows)
    assert take.endswith(": server (0.800 s per state).")
    assert here == (
        "With no other installation: speculative (1.200 s per state), 1.50 times as long."
    )


def test_what_the_rounds_do_not_tell_apart() -> None:
    """Both are named if one is slower by less than the rounds of either differ."""
    rows = [PAPER, _row("vllm-tuned", 1.0), _row("speculative", 1.1, spread=0.1)]
    assert "vllm-tuned (1.000 s per state) or speculative (1.100" in choice_notes(rows)[0]
    assert len(choice_notes(rows)) == 1
    rows[-1] = _row("speculative", 1.1, spread=0.08)
    assert " or " not in choice_notes(rows)[0]


def test_other_tokens_are_not_taken() -> None:
    """A faster engine with other tokens is named as that; a slower one is in the table only."""
    rows = [PAPER, _row("speculative", 2.0), _row("llama.cpp", 1.5, 3), _row("vllm", 2.5, 2)]
    take, faster = choice_notes(rows)
    assert "speculative" in take
    assert "Faster, with other tokens: llama.cpp (3 of 4 answers the same); certify" in faster
    (none,) = choice_notes([_row("speculative", 2.0, 3)])
    assert "No engine here has all tokens" in none


def test_what_does_not_count() -> None:
    """Unconstrained answers, answers that change between rounds, and engines without rounds."""
    rows = [
        PAPER,
        _row("unconstrained", 0.1),
        _row("speculative", 0.2, repeatable=False),
        _row("vllm", None, None),
    ]
    (line,) = choice_notes(rows)
    assert line == (
        "Take here, for the tokens of the paper's method (4 answers compared): "
        "outlines (9.000 s per state)."
    )
    assert choice_notes(rows[1:]) == []


def test_without_the_papers_method() -> None:
    """Speed alone decides, and that is said."""
    (line,) = choice_notes([_row("speculative", 2.0, None), _row("vllm", 1.0, None)])
    assert line.startswith("Fastest here: vllm (1.000 s per state). Whether its tokens")
