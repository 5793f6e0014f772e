"""``check``: compare an engine with itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.cli.bundles import data_options, output_options, settings_options
from benchmark.cli.help import VerbCommand, VerbGroup
from benchmark.cli.options import Revision, option
from benchmark.cli.writing import Output

if TYPE_CHECKING:
    from benchmark.checks.findings import CheckResult
    from benchmark.checks.subject import Subject
    from benchmark.models.tokenizer import TransformersTokenizer
    from benchmark.runs.requests import DataRequest, Speaker
    from benchmark.runs.settings import Settings

check = typer.Typer(
    cls=VerbGroup,
    help="Compare an engine with itself: batches and orders, decoding and prefill.",
    rich_markup_mode=None,
)

_STATES = 8

CheckedModel = Annotated[
    str,
    typer.Argument(help="A folder, a GGUF file or an identifier.", metavar="MODEL"),
]
Variations = Annotated[
    int, option("Arrangements that are compared with the first.", metavar="N", least=1, most=100)
]


@check.command(cls=VerbCommand, epilog="fixtures/models/track --states 8")
@output_options()
@data_options(states=_STATES)
@settings_options()
def invariance(
    model: CheckedModel,
    variations: Variations = 4,
    revision: Revision = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Check whether answers and log-probabilities depend on batches and orders.

    The same prompts are decoded and scored one at a time, reversed and shuffled, in several batch
    sizes or numbers of open requests, by any engine.

    Exit status: 0 the same within noise, 3 log-probabilities or near ties differ, 4 answers differ,
    2 misuse.
    """
    from benchmark.checks.invariance import check_invariance

    _run(
        model, data, settings, revision, output,
        lambda subject, progress: check_invariance(subject, variations, progress),
    )  # fmt: skip


@check.command("decode-prefill", cls=VerbCommand, epilog="fixtures/models/track --states 8")
@output_options()
@data_options(states=_STATES)
@settings_options()
def decode_prefill(
    model: CheckedModel,
    revision: Revision = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Check that log-probabilities while decoding are those of a pass over the same token ids.

    Exit status: 0 the same within noise, 3 log-probabilities differ, 4 other ids are scored than
    were sent, 2 misuse.
    """
    from benchmark.checks.decode_prefill import check_decode_prefill

    _run(model, data, settings, revision, output, check_decode_prefill)


@check.command(cls=VerbCommand, epilog="fixtures/models/track --base-url http://127.0.0.1:8000")
@output_options()
@data_options(states=_STATES)
@settings_options("prompt_format", "prompt_variant", "instruction_role", "bos", "base_url", "kind")
def rendering(
    model: CheckedModel,
    revision: Revision = None,
    *,
    data: "DataRequest",
    settings: "Settings",
    output: Output,
) -> None:
    """Check that a server makes the prompt ids of a run from text, or with chat from messages.

    The endpoints that generate are asked for one token, a server without weights (`vllm launch
    render MODEL`) for ids alone.

    Exit status: 0 the same ids, 4 other ids, 2 misuse.
    """
    from benchmark.checks.rendering import check_rendering
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.terminal import console

    served = replace(settings, engine="server")
    request = RunRequest.of(served, model, data, revision=revision)
    with RunProgress(console(stderr=True, quiet=output.quiet)) as progress:
        rendered = check_rendering(request, progress)
    _show(rendered.result, rendered.tokenizer, output)


def _run(
    model: str,
    data: "DataRequest",
    settings: "Settings",
    revision: str | None,
    output: Output,
    compare: "Callable[[Subject, Speaker], CheckResult]",
) -> None:
    from benchmark.checks.subject import opened
    from benchmark.runs.progress import RunProgress
    from benchmark.runs.requests import RunRequest
    from benchmark.terminal import console

    request = RunRequest.of(settings, model, data, revision=revision)
    with (
        RunProgress(console(stderr=True, quiet=output.quiet)) as progress,
        opened(request, progress) as subject,
    ):
        result = compare(subject, progress)
    _show(result, subject.tokenizer, output)


def _show(result: "CheckResult", tokenizer: "TransformersTokenizer", output: Output) -> None:
    """Print a result, and end with its exit status."""
    from benchmark.checks.text import check_lines, difference_table
    from benchmark.terminal import console

    if not output.as_json:
        print(*check_lines(result), sep="\n")
        if (table := difference_table(result, tokenizer)) is not None:
            console().print(table)
    output.result(result.as_json())
    raise typer.Exit(result.exit_status)
