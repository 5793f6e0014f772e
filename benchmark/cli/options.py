"""Command-line options that several verbs share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.decoding.engines import decoding_engines

if TYPE_CHECKING:
    from benchmark.runs.requests import DataRequest, RunRequest
    from benchmark.runs.settings import Settings


def flag(*names: str, text: str) -> object:
    """Return a boolean option, without the type that typer would show after its name."""
    return typer.Option(*names, metavar="", help=text)


Model = Annotated[
    str,
    typer.Option(help="A local folder or GGUF file, or a Hugging Face identifier.", metavar="M"),
]
Seed = Annotated[int, typer.Option(help="Seed of the generated data.", min=0)]
DataSeed = Annotated[
    int | None,
    typer.Option(help="Seed of the generated data; default: 0 without --data.", min=0),
]
Json = Annotated[bool, flag("--json", text="Print JSON instead of a table.")]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the result as JSON here.", metavar="FILE")
]
Password = Annotated[
    str | None, typer.Option(help="Password of the original ZIP (see the authors' README).")
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
States = Annotated[int | None, typer.Option(help="Only the first N states.", metavar="N")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16; default: the protocol's.")
]
BatchSize = Annotated[
    int | None,
    typer.Option(help="Prompts decoded together; default: the protocol's (32; paper: 1)."),
]
PromptFormat = Annotated[str, typer.Option(help="completion or chat.")]
PromptVariant = Annotated[
    str,
    typer.Option(help="Wording of a completion: authors or table2 (one more line break)."),
]
InstructionRole = Annotated[
    str | None,
    typer.Option(help="Role of a chat's instruction, system or user; default: the authors'."),
]
Bos = Annotated[
    str,
    typer.Option(help="Leading BOS: auto (as the model's tokenizer), always or never."),
]
Quiet = Annotated[bool, flag("--quiet", "-q", text="Show no progress.")]
Retry = Annotated[bool, flag("--retry", text="Retry what could not be installed or run.")]
Repeats = Annotated[
    int,
    typer.Option(help="Measure the noise floor with N repeats.", min=0, max=1000, metavar="N"),
]
Engine = Annotated[
    str | None,
    typer.Option(help=f"{', '.join(decoding_engines())}; default: the protocol's."),
]
Protocol = Annotated[str, typer.Option(help="default or paper.")]
Quantization = Annotated[str | None, typer.Option(help="8bit; needs a GPU.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the hub repository.")]
MaxNewTokens = Annotated[
    int | None,
    typer.Option(help="Token limit of an answer; default: the protocol's (256; paper: 100)."),
]
RegistryFile = Annotated[
    Path | None,
    typer.Option("--registry", help="Your own models and pairs, TOML.", metavar="FILE"),
]
ModelStoreFolder = Annotated[
    Path, typer.Option("--store", help="Folder of finished measurements.", metavar="DIR")
]
PAPER_TASK = "boxes"
"""The default of ``--task``; ``benchmark.tasks.DEFAULT`` is slow to import."""
Task = Annotated[str, typer.Option(help="boxes (the paper's) or move-contents; see docs/tasks.md.")]


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
"""The option of every setting of a run, and its default."""

DATA: Mapping[str, tuple[object, object]] = {
    "task": (Task, PAPER_TASK),
    "data": (DataFile, None),
    "password": (Password, None),
    "states": (States, None),
    "seed": (DataSeed, None),
}
"""The options that choose the states, and their defaults."""

Command = Callable[..., None]


def registered_request(
    model: str, registry_file: Path | None, store: Path, data: "DataRequest", settings: "Settings"
) -> "RunRequest":
    """Return the request for a registered or other model, measured into the store.

    Raises:
        DataError: when the registry cannot be read.
    """
    from benchmark.models.registry import load_registry
    from benchmark.runs.requests import RunRequest, registered

    request = RunRequest("", store, data, **asdict(settings))
    return registered(load_registry(registry_file), model, request)


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Add the options of these settings, or of all, and pass them as ``settings``."""
    return _bundled("settings", _settings, SETTINGS, names, {})


def data_options(*names: str, states: int | None = None) -> Callable[[Command], Command]:
    """Add these options that choose states, or all of them, and pass them as ``data``.

    ``states`` is the default of ``--states``.
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
    """Replace one parameter of a command by the options that its value is built from."""
    options = [
        Parameter(
            name, Parameter.KEYWORD_ONLY, annotation=kind, default=defaults.get(name, default)
        )
        for name, (kind, default) in ((name, table[name]) for name in names or table)
    ]

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**arguments: object) -> None:
            values = {option.name: arguments.pop(option.name) for option in options}
            command(**arguments, **{bundle: build(**values)})

        own = signature(command)
        parameters: list[Parameter] = []
        for parameter in own.parameters.values():
            # Keyword-only, so that parameters without a default may follow others.
            keyword = parameter.replace(kind=Parameter.KEYWORD_ONLY)
            parameters += options if parameter.name == bundle else [keyword]
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate
