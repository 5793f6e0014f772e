"""The sets of grammar backends, and the kinds of their differences."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from benchmark.decoding import grammar_backends
from benchmark.decoding.grammar_backends import GrammarTrace, grammar_trace
from benchmark.fingerprints import grammars
from benchmark.fingerprints.compare import compare
from benchmark.fingerprints.grammar_differences import KINDS, TokenKinds, grammar_differences
from benchmark.fingerprints.grammars import family_grammars, grammars_fingerprint
from benchmark.models.tokenizer import TransformersTokenizer
from fakes.command_line import command_line
from fakes.tiny_tokenizer import tiny_tokenizer

EXPRESSION = r"Box [a-z]+\."


class Fake:
    """A backend that differs from outlines-core by some tokens, at every position."""

    changed: frozenset[int] = frozenset()

    def __init__(self, expression: str, tokenizer: TransformersTokenizer) -> None:
        """Wrap outlines-core."""
        self.exact = grammar_backends._OutlinesCore(expression, tokenizer)

    def allowed(self) -> frozenset[int]:
        """Return the exact set with the changes."""
        return self.exact.allowed() ^ self.changed

    def advance(self, token_id: int) -> None:
        """Go on."""
        self.exact.advance(token_id)


@pytest.fixture
def tokenizer(monkeypatch: pytest.MonkeyPatch) -> TransformersTokenizer:
    """A tokenizer, fetched as ``tiny``, and outlines-core and a fake as the only backends."""
    backends = {"outlines_core": grammar_backends._OutlinesCore, "xgrammar": Fake}
    tokenizer = tiny_tokenizer()
    tokenizer.raw.add_tokens(["  "])
    tokenizer.__dict__.pop("token_bytes")
    monkeypatch.setattr(Fake, "changed", frozenset())
    monkeypatch.setattr(grammar_backends, "BACKENDS", backends)
    monkeypatch.setattr(grammars, "installed_backends", lambda: tuple(backends))
    monkeypatch.setattr(grammars, "load_source_tokenizer", lambda _: tokenizer)
    monkeypatch.setattr(grammars, "source", lambda name: name)
    return tokenizer


def _trace(tokenizer: TransformersTokenizer, changed: Iterable[int]) -> GrammarTrace:
    Fake.changed = frozenset(changed)
    answer = (*tokenizer.encode("Box bag."), tokenizer.eos_id)
    return grammar_trace("xgrammar", EXPRESSION, tokenizer, answer)


def test_equal_sets_have_no_differences(tokenizer: TransformersTokenizer) -> None:
    """Every token of the answer has a set, the last one EOS alone."""
    trace = _trace(tokenizer, ())
    assert len(trace.sets) == len(trace.answer)
    assert not trace.forbidden
    assert trace.sets[-1] == {tokenizer.eos_id}
    assert not [*grammar_differences("xgrammar", trace, trace, TokenKinds(tokenizer, EXPRESSION))]


@pytest.mark.parametrize(
    ("token", "kind", "more"),
    [
        ("</s>", "end", True),
        ("<s>", "special", True),
        (999, "unused", True),
        ("  ", "added", True),
        ("0", "dead", True),
        (".", "answer", False),
        ("q", "other", False),
    ],
)
def test_kinds(
    tokenizer: TransformersTokenizer, token: str | int, kind: str, *, more: bool
) -> None:
    """A token that is allowed or forbidden as a fault has the kind that explains it."""
    token_id = token if isinstance(token, int) else tokenizer.raw.get_vocab()[token]
    exact, trace = _trace(tokenizer, ()), _trace(tokenizer, {token_id})
    kinds = TokenKinds(tokenizer, EXPRESSION)
    found = [*grammar_differences("xgrammar", trace, exact, kinds)]
    assert (kind, more) in {(one.kind, one.more) for one in found}
    assert {one.kind for one in found} <= set(KINDS)
    (difference,) = (one for one in found if (one.kind, one.more) == (kind, more))
    assert difference.tokens == 1
    assert difference.example.startswith(f"{token_id} ")


def test_tokens_beyond_the_end(tokenizer: TransformersTokenizer) -> None:
    """After a complete answer every text goes beyond it."""
    kinds, newline = TokenKinds(tokenizer, EXPRESSION), tokenizer.encode("\n")[0]
    assert kinds.kind(newline, b"Box bag.", frozenset({newline})) == "beyond"


def test_forced_text(tokenizer: TransformersTokenizer) -> None:
    """Where the text is forced, a backend may allow one token alone, which explains the others."""
    exact = _trace(tokenizer, ())
    usual = replace(exact, sets=(frozenset(exact.answer[:1]), *exact.sets[1:]))
    assert len(exact.sets[0]) > 1
    kinds = TokenKinds(tokenizer, EXPRESSION)
    (difference,) = grammar_differences("xgrammar", usual, exact, kinds)
    assert (difference.kind, difference.more, difference.positions) == ("forced", False, 1)


def test_errors_of_backends_are_results(
    tokenizer: TransformersTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other backends are recorded; the difference is the error."""
    old = grammars_fingerprint(["tiny"])
    assert (old.kind, old.states) == ("grammars", 2)

    def broken(*_: object) -> None:
        raise RuntimeError("no regex")

    monkeypatch.setitem(grammar_backends.BACKENDS, "xgrammar", broken)
    (difference,) = family_grammars("tiny", ["outlines_core", "xgrammar"]).differences()
    assert difference.kind == "fails"
    assert difference.example.startswith("RuntimeError: no regex")
    new = grammars_fingerprint(["tiny"])
    failed = new.stages["constraint"].failed or ""
    assert failed.startswith("tiny, xgrammar: RuntimeError: no regex")
    comparison = compare(old, new)
    assert (comparison.severity, comparison.stage) == ("regression", "constraint")


def test_a_token_more_is_a_change(tokenizer: TransformersTokenizer) -> None:
    """Only the backend that differs has changed."""
    old = grammars_fingerprint(["tiny"])
    Fake.changed = frozenset({tokenizer.raw.get_vocab()["<s>"]})
    comparison = compare(old, grammars_fingerprint(["tiny"]))
    (diff,) = comparison.stage_diffs
    assert (diff.stage, len(diff.states), diff.of) == ("constraint", 1, 2)


def test_table(tokenizer: TransformersTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """``grammars`` has a row per difference, and one for a backend that is the same."""
    monkeypatch.setattr(
        grammar_backends, "installed_backends", lambda: ("outlines_core", "xgrammar")
    )
    same = command_line("grammars", "tiny")
    assert same.returncode == 0
    assert "tiny       xgrammar  same" in same.stdout
    Fake.changed = frozenset({tokenizer.raw.get_vocab()["<s>"]})
    changed = command_line("grammars", "tiny")
    assert "allows special" in changed.stdout


def test_no_other_backend(
    tokenizer: TransformersTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without another backend the line says what to install."""
    monkeypatch.setattr(grammar_backends, "installed_backends", lambda: ("outlines_core",))
    done = command_line("grammars", "tiny")
    assert done.returncode == 2
    assert "pip install --group grammars" in done.stderr
