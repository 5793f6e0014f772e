"""Options that several verbs share."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated

import typer

from benchmark.decoding.engines import decoding_engines


def flag(*names: str, text: str) -> object:
    """An option that is there or not: typer would show a type after it that nobody gives."""
    return typer.Option(*names, metavar="", help=text)


Model = Annotated[
    str,
    typer.Option(help="A local folder or GGUF file, or a Hugging Face identifier.", metavar="M"),
]
Seed = Annotated[int, typer.Option(help="Seed of the generated data.", min=0)]
DataSeed = Annotated[
    int | None,
    typer.Option(help="Seed of the generated data, 0 where no --data is given.", min=0),
]
Json = Annotated[bool, flag("--json", text="Print JSON instead of a table.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write it as JSON here.", metavar="FILE")
]
Password = Annotated[
    str | None, typer.Option(help="Password of the original ZIP (the authors' README gives it).")
]
Data = Annotated[
    Path,
    typer.Option(help="JSON lines in the authors' schema, or their original ZIP.", metavar="FILE"),
]
DataFile = Annotated[
    Path | None,
    typer.Option(
        "--data", help="JSON lines or the original ZIP; default: generated.", metavar="FILE"
    ),
]
States = Annotated[int | None, typer.Option(help="Only the first so many states.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16; default: the protocol's.")
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Prompts decoded together; default: the protocol's (32, the paper's 1)."),
]
PromptFormat = Annotated[str, typer.Option(help="completion or chat.")]
PromptVariant = Annotated[
    str,
    typer.Option(help="Wording of a completion: authors, or table2 with its line break."),
]
InstructionRole = Annotated[
    str | None,
    typer.Option(help="Of a chat's instruction: system or user; default: as the authors' code."),
]
Bos = Annotated[
    str,
    typer.Option(help="auto: as the model's own tokenizer does; always; or never."),
]
Quiet = Annotated[bool, flag("--quiet", "-q", text="Show no progress.")]
Retry = Annotated[bool, flag("--retry", text="Try again what could not be installed or run.")]
Repeats = Annotated[
    int, typer.Option(help="Measure each fingerprint's noise floor so often.", min=0, max=1000)
]
Engine = Annotated[
    str | None,
    typer.Option(help=f"{', '.join(decoding_engines())}; default: the protocol's."),
]
Protocol = Annotated[str, typer.Option(help="default or paper.")]
Quantization = Annotated[str | None, typer.Option(help="8bit; needs a GPU.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the hub.")]
MaxNewTokens = Annotated[
    int | None, typer.Option(help="Limit of an answer; default: the protocol's (256, 100).")
]
RegistryFile = Annotated[
    Path | None,
    typer.Option("--registry", help="Your own models and pairs, TOML.", metavar="FILE"),
]
ModelStoreFolder = Annotated[
    Path, typer.Option("--store", help="Where measurements are kept.", metavar="DIR")
]
PAPER_TASK = "boxes"
"""The default of ``--task``: ``benchmark.tasks.DEFAULT``, which takes too long to import here."""
Task = Annotated[
    str, typer.Option(help="boxes, the paper's, or another of docs/tasks.md.", metavar="NAME")
]


SETTINGS: Mapping[str, tuple[object, object]] = {
    "engine": (Engine, None),
    "protocol": (Protocol, "default"),
    "prompt_format": (PromptFormat, "completion"),
    "prompt_variant": (PromptVariant, "authors"),
    "instruction_role": (InstructionRole, None),
    "bos": (Bos, "auto"),
    "device": (Device, "auto"),
    "dtype": (Dtype, None),
    "quantization": (Quantization, None),
    "batch_size": (BatchSize, None),
    "max_new_tokens": (MaxNewTokens, None),
}
"""The option of every setting of a run, with its default."""

DATA: Mapping[str, tuple[object, object]] = {
    "task": (Task, PAPER_TASK),
    "data": (DataFile, None),
    "password": (Password, None),
    "states": (States, None),
    "seed": (DataSeed, None),
}
"""The options that say which states are asked about, with their defaults."""

Command = Callable[..., None]


def takes_settings(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of these settings, or of all, handed to it as ``settings``."""
    return _bundled("settings", _settings, SETTINGS, names, {})


def takes_data(*names: str, states: int | None = None) -> Callable[[Command], Command]:
    """Give a command the options that choose states, some or all, handed to it as ``data``.

    ``states`` is how many there are if the command line does not say.
    """
    return _bundled("data", _data_request, DATA, names, {"states": states})


def _settings(**values: object) -> object:
    from benchmark.runs.settings import settings_of

    return settings_of(values)


def _data_request(*, data: Path | None = None, **values: object) -> object:
    from benchmark.runs.requests import data_request_of

    return data_request_of({"path": data, **values})


def _bundled(
    bundle: str,
    build: Callable[..., object],
    table: Mapping[str, tuple[object, object]],
    names: Sequence[str],
    defaults: Mapping[str, object],
) -> Callable[[Command], Command]:
    """Replace one parameter of a command by options that make up its value."""
    wanted = {name: table[name] for name in names or table}
    options = [
        Parameter(
            name, Parameter.KEYWORD_ONLY, annotation=kind, default=defaults.get(name, default)
        )
        for name, (kind, default) in wanted.items()
    ]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: object) -> None:
            values = {option.name: given.pop(option.name) for option in options}
            command(**given, **{bundle: build(**values)})

        own = signature(command)
        parameters: list[Parameter] = []
        for each in own.parameters.values():
            # All by keyword: typer calls so, and options without a default may follow others then.
            parameters += (
                options if each.name == bundle else [each.replace(kind=Parameter.KEYWORD_ONLY)]
            )
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        return run

    return decorate
