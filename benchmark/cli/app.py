"""The command line: its verbs, and its exit codes."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, NoReturn

import typer
from typer.exceptions import TyperException

from benchmark import __version__
from benchmark.cli.ablation import ablation
from benchmark.cli.baseline import baseline
from benchmark.cli.bisect import bisect
from benchmark.cli.canary import canary
from benchmark.cli.certify import certify
from benchmark.cli.check import check
from benchmark.cli.claims import claims
from benchmark.cli.compare import compare
from benchmark.cli.crash import error_line
from benchmark.cli.errors import errors
from benchmark.cli.export import export
from benchmark.cli.fetch import fetch
from benchmark.cli.fingerprint import fingerprint
from benchmark.cli.gate import gate
from benchmark.cli.generate import generate
from benchmark.cli.gpu_proof import gpu_proof
from benchmark.cli.grammars import grammars
from benchmark.cli.help import VerbCommand, VerbGroup
from benchmark.cli.history import history
from benchmark.cli.listing import list_
from benchmark.cli.merge import merge
from benchmark.cli.migrate import migrate
from benchmark.cli.pair import pair
from benchmark.cli.plan import plan
from benchmark.cli.prefetch import prefetch
from benchmark.cli.prompt_format import prompt_format
from benchmark.cli.report import report
from benchmark.cli.reproduce import reproduce
from benchmark.cli.run import run
from benchmark.cli.score import score
from benchmark.cli.sensitivity import sensitivity
from benchmark.cli.speed import speed
from benchmark.cli.train_controls import train_controls
from benchmark.cli.widen import widen
from benchmark.descriptors import is_stream
from benchmark.errors import SettingError, reason
from benchmark.lifetime import keep_child_statuses
from benchmark.streams import guarded, output_failure

if TYPE_CHECKING:
    from typer._click import Command


class _Verb(NamedTuple):
    """A verb: its name, its function, and an example of its arguments."""

    name: str
    function: Callable[..., None]
    example: str


GROUPS: Mapping[str, Sequence[_Verb]] = {
    "Measure": (
        _Verb("run", run, "--model fixtures/models/copy-a --states 64 --out runs/copy-a"),
        _Verb("plan", plan, "--gpus 2 --gpu RTX-4090 --experiment code"),
        _Verb("reproduce", reproduce, "--only 'code and not 70b' --dry-run"),
        _Verb("merge", merge, "runs/store --out runs/merged"),
        _Verb("speed", speed, "--model fixtures/models/track --engines speculative,outlines"),
        _Verb(
            "score",
            score,
            "--predictions runs/copy-a/predictions.jsonl --gold boxes.jsonl --partial",
        ),
        _Verb("errors", errors, "runs/track"),
        _Verb("baseline", baseline, "--data boxes.jsonl"),
        _Verb("gpu-proof", gpu_proof, "--rehearse --out runs/gpu-proof"),
    ),
    "Compare": (
        _Verb("report", report, "runs --registry fixtures/models/registry.toml"),
        _Verb("claims", claims, "--results published"),
        _Verb("pair", pair, "fixtures/models/copy-a fixtures/models/track --states 64"),
        _Verb(
            "prompt-format",
            prompt_format,
            "--model HuggingFaceTB/SmolLM2-135M-Instruct --states 64",
        ),
        _Verb("sensitivity", sensitivity, "--model fixtures/models/track --states 64"),
        _Verb("ablation", ablation, "--model fixtures/models/track --states 64"),
        _Verb("certify", certify, "runs/track --reference fixtures/models/track"),
    ),
    "Guard upgrades": (
        _Verb("fingerprint", fingerprint, "fixtures/models/track --states 16 --out before.json"),
        _Verb("compare", compare, "before.json after.json"),
        _Verb("gate", gate, "logs/before logs/after --margin 0.02"),
        _Verb("bisect", bisect, "tokenizers 0.22.2 0.23.3 --probe tokenizers"),
        _Verb("canary", canary, "transformers outlines==1.3.3 --states 8"),
        _Verb("grammars", grammars, "smollm2 llama"),
        _Verb("history", history, "canary.jsonl --page history.html"),
        _Verb("migrate", migrate, "snapshots"),
    ),
    "Data": (
        _Verb("list", list_, "engines"),
        _Verb("fetch", fetch, "smollm2"),
        _Verb("prefetch", prefetch, "--experiment code --vram 80 --dry-run"),
        _Verb("generate", generate, "--split test --seed 0 --subsample --out boxes.jsonl"),
        _Verb("train-controls", train_controls, "--out runs/controls"),
        _Verb("widen", widen, "fixtures/models/track --like llama2-7b --dtype bfloat16 --out wide"),
    ),
}
"""All verbs by group, in the order of the help page."""

EXIT_CODES: Mapping[int, str] = {
    0: "done; compare, bisect, canary, certify, check: nothing beyond noise",
    1: "canary: only --suite failed; gpu-proof, reproduce, merge: a part failed",
    2: "misuse or an error: one line on standard error says what to do",
    3: "compare, bisect, canary: drift; gate: undecided; certify, check: minor",
    4: "compare, bisect, canary: regression; gate: worse; certify, check: wrong",
    130: "stopped by Ctrl-C; finished work is kept",
}
"""What the exit code of a verb means."""

# Without rich, --help takes half the time.
app = typer.Typer(
    name="benchmark",
    help="Measure how well language models track entities (the boxes task).",
    epilog="\n".join(["Exit codes:", *(f"  {c:<5}{words}" for c, words in EXIT_CODES.items())]),
    cls=VerbGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _group, _verbs in GROUPS.items():
    for _verb in _verbs:
        app.command(
            _verb.name,
            cls=VerbCommand,
            rich_help_panel=_group,
            epilog=_verb.example,
        )(_verb.function)
app.add_typer(check, name="check", rich_help_panel="Guard upgrades")
app.add_typer(export, name="export", rich_help_panel="Data")


def _print_version(value: bool) -> None:
    if value:
        print(f"entity-tracking-benchmark {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[  # noqa: ARG001  # its callback prints it
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            metavar="",
            callback=_print_version,
        ),
    ] = False,
    read_limit: Annotated[
        float,
        typer.Option(
            min=1,
            max=1_000_000,
            metavar="FACTOR",
            help="Read files up to this many times the usual bounds.",
        ),
    ] = 1,
) -> None:
    """Set what holds for every verb."""
    if read_limit > 1:
        from benchmark.reading.bounds import raise_bounds

        raise_bounds(read_limit)


SCRIPT, _MODULE = "entity-tracking", "python -m benchmark"
_COMPLETION = {"--install-completion", "--show-completion"}
_MISUSE = 2
_PYDANTIC = ": Value error, "
"""How Typer words a wrong choice, which pydantic checks for it."""

_INTERRUPTED = 130


_WRITES_AT_END = {
    *(
        "baseline",
        "certify",
        "check",
        "claims",
        "compare",
        "errors",
        "fingerprint",
        "gate",
        "generate",
        "history",
        "list",
        "plan",
        "score",
        "widen",
    ),
}
"""Verbs that write nothing, or one file at the end."""


_OUT = ("--out", "-o")


class _Saved(NamedTuple):
    """What an interrupted verb has saved: its name, the option of its folder, and the default."""

    name: str
    options: tuple[str, ...] = ()
    default: str = ""


_RESUMABLE = {
    "run": _Saved("states", _OUT),
    "train-controls": _Saved("checkpoints", _OUT),
    "gpu-proof": _Saved("stages", _OUT, "runs/gpu-proof"),
    **dict.fromkeys(
        ("pair", "prompt-format", "sensitivity", "ablation", "reproduce"),
        _Saved("states", ("--store",), "runs/store"),
    ),
    **dict.fromkeys(("bisect", "canary"), _Saved("measurements")),
    "prefetch": _Saved("files"),
}


def main() -> NoReturn:
    """Run the command line; every error is one line and exit code 2.

    An output that is lost (a full disk, a terminal that is gone) is such an error too, but the verb
    goes on to its end.
    """
    keep_child_statuses()
    with guarded():
        code = _run(sys.argv[1:] or ["--help"])
        if error := output_failure():
            code = code or _misuse(f"standard output: {reason(error)}; a part of it is lost")
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """Run a verb and return the exit code; an error is printed as one line."""
    name = _name()
    try:
        _check_no_empty(arguments)
        if name != SCRIPT and _COMPLETION & set(arguments):
            return _misuse(f"completion is for the command {SCRIPT}; run: {SCRIPT} {arguments[0]}")
        code: int | None = _command()(arguments, prog_name=name, standalone_mode=False)
    except TyperException as error:
        context = getattr(error, "ctx", None)  # a usage error knows its verb
        verb = getattr(context, "command_path", name)
        message = error.format_message().rstrip(".").replace(_PYDANTIC, ": ")
        return _misuse(f"{message}. See: {verb} --help")
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001  # of any library; a panic in Rust is no Exception
        return _misuse(error_line(error))
    if code == _INTERRUPTED:  # Typer's own answer to Ctrl-C
        _say(_stopped(arguments))
    return code or 0


@cache  # building it takes several times as long as parsing a command line
def _command() -> "Command":
    return typer.main.get_command(app)


def _check_no_empty(arguments: Sequence[str]) -> None:
    """Refuse an empty argument: as a path it would be the working directory.

    Raises:
        SettingError: naming the option, or the argument's position.
    """
    for number, word in enumerate(arguments):
        option, _, value = word.partition("=")
        if word.startswith("--") and word != option and not value:
            raise SettingError(f"{option} is empty; give it a value")
        if not word:
            before = arguments[number - 1] if number else ""
            name = before if before.startswith("-") else f"argument {number + 1}"
            raise SettingError(f"{name} is empty; give it a value")


def _name() -> str:
    """Return the name that the command line was called by."""
    return SCRIPT if Path(sys.argv[0]).stem == SCRIPT else _MODULE


def _stopped(arguments: Sequence[str]) -> str:
    """Return the message after Ctrl-C: what is saved, and how to resume."""
    names = {verb.name for verbs in GROUPS.values() for verb in verbs}
    verb = next((word for word in arguments if word in names), arguments[0])
    if saved := _RESUMABLE.get(verb):
        folder = _value(arguments, *saved.options) or saved.default
        if folder and not Path(folder).is_dir():
            return "Stopped. Nothing was written."
        where = f" in {folder}" if folder else ""
        return f"Stopped. Finished {saved.name} are saved{where}; rerun to resume."
    out = Path(_value(arguments, *_OUT) or ".")
    is_whole = verb in _WRITES_AT_END and not is_stream(out)
    return "Stopped. Nothing was written." if is_whole else "Stopped."


def _value(arguments: Sequence[str], *options: str) -> str | None:
    """Return the value of an option on the command line, by any of its spellings."""
    for argument, following in zip_longest(arguments, arguments[1:]):
        name, separator, value = argument.partition("=")
        if name in options:
            return value if separator else following
    return None


def _misuse(message: str) -> int:
    _say(f"error: {message}")
    return _MISUSE


def _say(message: str) -> None:
    print(" ".join(message.split()), file=sys.stderr)
