"""The command line as a whole: its verbs, and how errors end it."""

import sys
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from benchmark.cli.ablation import ablation
from benchmark.cli.baseline import baseline
from benchmark.cli.bisect import bisect
from benchmark.cli.canary import canary
from benchmark.cli.claims import claims
from benchmark.cli.compare import compare
from benchmark.cli.export import export
from benchmark.cli.fetch import fetch
from benchmark.cli.fingerprint import fingerprint
from benchmark.cli.generate import generate
from benchmark.cli.hub_folder import hub_folder
from benchmark.cli.migrate import migrate
from benchmark.cli.pair import pair
from benchmark.cli.plan import plan
from benchmark.cli.prompt_format import prompt_format
from benchmark.cli.report import report
from benchmark.cli.run import run
from benchmark.cli.score import score
from benchmark.cli.sensitivity import sensitivity
from benchmark.cli.speed import speed
from benchmark.cli.tokenizers import tokenizers
from benchmark.cli.train_controls import train_controls
from benchmark.cli.vanilla import vanilla
from benchmark.errors import BenchmarkError

app = typer.Typer(
    name="benchmark",
    help="Measure how well language models track entities (the boxes task).",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
VERBS = (
    run,
    pair,
    prompt_format,
    sensitivity,
    ablation,
    claims,
    report,
    plan,
    score,
    generate,
    baseline,
    compare,
    bisect,
    canary,
    tokenizers,
    migrate,
    vanilla,
    hub_folder,
    fetch,
    speed,
    fingerprint,
    train_controls,
)
for verb in VERBS:
    app.command()(verb)
app.add_typer(export, name="export")

_NAME = "python -m benchmark"
_MISUSE = 2
_INTERRUPTED = 130


_AT_ONCE = {"fingerprint", "vanilla", "tokenizers", "compare"}
"""Verbs that write at their end alone."""


def main() -> NoReturn:
    """Run the command line; what a user can mend ends it with one line and exit code 2."""
    try:
        arguments = sys.argv[1:] or ["--help"]
        code = app(arguments, prog_name=_NAME, standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)  # a usage error knows its verb
        verb = getattr(context, "command_path", _NAME)
        _end(f"{error.format_message().rstrip('.')}. See: {verb} --help", _MISUSE)
    except BenchmarkError as error:
        _end(str(error), _MISUSE)
    except OSError as error:
        _end(f"{error.filename or 'output'}: {error.strerror or error}", _MISUSE)
    if code == _INTERRUPTED:  # Typer's own answer to Ctrl-C
        again = arguments[0] not in _AT_ONCE
        kept = "whatever was finished is kept, and the same command goes on"
        _end(f"stopped; {kept if again else 'nothing was written'}", code)
    sys.exit(code or 0)


def _end(message: str, code: int) -> NoReturn:
    line = " ".join(message.split())
    print(f"error: {line}" if code == _MISUSE else line, file=sys.stderr)
    sys.exit(code)
