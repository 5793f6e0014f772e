"""The result of a check for a terminal."""

from collections import Counter
from collections.abc import Iterator

from rich.table import Table

from benchmark.checks.findings import CheckResult
from benchmark.models.tokenizer import TransformersTokenizer, detokenize
from benchmark.terminal import plain_table

_SHOWN = 20


def check_lines(result: CheckResult) -> Iterator[str]:
    """Yield the verdict, what was compared, and how many differences of each kind there are."""
    verdict = {
        ("invariance", 0): "invariant",
        ("invariance", 3): "answers are the same, log-probabilities or near ties are not",
        ("invariance", 4): "answers depend on the other prompts",
        ("decode-prefill", 0): "decoding and prefill agree",
        ("decode-prefill", 3): "decoding and prefill differ",
        ("decode-prefill", 4): "other ids are scored than were sent",
        ("rendering", 0): "the server makes the same prompt ids",
        ("rendering", 4): "the server makes other prompt ids",
    }[result.check, result.exit_status]
    yield f"{result.subject}: {verdict}"
    if result.check == "rendering":
        yield f"{result.answers} prompts, {result.places} token ids compared"
    else:
        yield (
            f"{result.answers} answers, {result.places} log-probabilities compared; the largest "
            f"difference is {result.largest:.2g} nats, noise up to {result.floor:.2g}"
        )
    kinds = Counter(difference.kind for difference in result.differences)
    if kinds:
        yield "differences: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    yield from result.notes


def difference_table(result: CheckResult, tokenizer: TransformersTokenizer) -> Table | None:
    """Return the first differences as a table; None if there are none."""
    if not result.differences:
        return None
    rest = len(result.differences) - _SHOWN
    more = f" ({_SHOWN} of {len(result.differences)})" if rest > 0 else ""
    table = plain_table(f"differences{more}")
    for name in ("state", "place", "what", "nats", "tokens", "arrangement"):
        table.add_column(name, justify="right" if name in {"state", "place", "nats"} else "left")
    for one in result.differences[:_SHOWN]:
        table.add_row(
            str(one.state),
            str(one.place),
            one.kind,
            "-" if one.size is None else f"{one.size:.3g}",
            " / ".join(token_text(tokenizer, token) for token in one.tokens),
            one.arrangement,
        )
    return table


def token_text(tokenizer: TransformersTokenizer, token: int) -> str:
    """Return a token's text in quotation marks; the end of the sequence has a name."""
    if token == tokenizer.eos_id:
        return "end"
    text = detokenize(tokenizer.token_bytes, [token])
    return repr(text) if text else f"id {token}"
