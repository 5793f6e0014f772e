"""Options that a verb takes together and gets as one value: settings, states, output."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.options import DATA, DECODING, SETTINGS, Json, JsonFile, Quiet
from benchmark.cli.settings_file import read_settings
from benchmark.cli.writing import Output, check_writable

Command = Callable[..., None]

_OPTIONS_FILE = "options_file"
_OptionsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="TOML file with options of this verb; the command line takes precedence.",
        metavar="FILE",
        is_eager=True,
        callback=read_settings,
        rich_help_panel=DECODING,
    ),
]


def settings_options(*names: str) -> Callable[[Command], Command]:
    """Add the options of these settings, or of all, and pass them as ``settings``.

    ``--settings FILE`` is added as well.
    """
    table = {_OPTIONS_FILE: (_OptionsFile, None), **SETTINGS}
    return _bundled("settings", _settings, table, [_OPTIONS_FILE, *(names or SETTINGS)], {})


def data_options(*names: str, states: int | None = None) -> Callable[[Command], Command]:
    """Add these options that choose states, or all of them, and pass them as ``data``.

    ``states`` is the default of ``--states``.
    """
    return _bundled("data", _data_request, DATA, names, {"states": states})


_OUTPUT: Mapping[str, tuple[object, object]] = {
    "as_json": (Json, False),
    "json_file": (JsonFile, None),
    "quiet": (Quiet, False),
}


def output_options(*names: str) -> Callable[[Command], Command]:
    """Add ``--json``, ``--json-file`` and ``--quiet``, or these, and pass them as ``output``."""
    return _bundled("output", _output, _OUTPUT, names, {})


def _settings(**values: object) -> object:
    from benchmark.runs.settings import settings_of

    values.pop(_OPTIONS_FILE)
    return settings_of(values)


def _data_request(*, data: Path | None = None, **values: object) -> object:
    from benchmark.runs.requests import data_request_of

    return data_request_of({"path": data, **values})


def _output(*, as_json: bool = False, json_file: Path | None = None, quiet: bool = False) -> Output:
    check_writable(json_file)
    return Output(as_json, json_file, quiet)


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
