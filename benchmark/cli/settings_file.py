"""``--settings FILE``: options of a verb from a TOML file, as if they were typed."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from typer._click import Parameter


def read_settings(ctx: typer.Context, path: Path | None) -> Path | None:
    """Read options of the verb from a TOML file; those on the command line take precedence.

    A key is an option without its dashes, or an argument. Values become text first, so that they
    are read as on the command line.

    Raises:
        SettingError: for a key that the verb does not have, or a value that no option takes.
        DataError: if the file cannot be read or is not TOML.
    """
    if path is None:
        return None
    from benchmark.errors import SettingError
    from benchmark.reading.documents import parse_toml
    from benchmark.reading.files import read_text

    parameters = _parameters(ctx)
    keys = dict[str, str]()
    values = dict[str, object]()
    for key, value in parse_toml(read_text(path), str(path)).items():
        parameter = parameters[_known(key, parameters, path)]
        if parameter.name in keys:
            raise SettingError(f"{path}: {key}: the same option as {keys[parameter.name]}")
        keys[parameter.name] = key
        values[parameter.name] = _typed(parameter, value, f"{path}: {key}")
    ctx.default_map = values
    return path


def _parameters(ctx: typer.Context) -> "Mapping[str, Parameter]":
    """Return the options and arguments of a verb that a file can set, by their names."""
    own = [p for p in ctx.command.params if not p.is_eager]
    return {
        name.lstrip("-").replace("_", "-"): parameter
        for parameter in own
        for name in (parameter.opts or [parameter.name])
        if parameter.param_type_name == "argument" or name.startswith("--")
    }


def _known(name: str, parameters: Mapping[str, object], path: Path) -> str:
    from benchmark.errors import SettingError

    option = name.replace("_", "-")
    if option not in parameters:
        close = get_close_matches(option, parameters, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(parameters)}"
        raise SettingError(f"{path}: no option {name!r}; {hint}")
    return option


def _typed(parameter: "Parameter", value: object, where: str) -> object:
    """Return a value as if it was typed: text, a list of texts, or the state of a flag."""
    from benchmark.errors import SettingError

    is_flag = getattr(parameter, "is_flag", False)
    if is_flag and not isinstance(value, bool):
        raise SettingError(f"{where}: must be true or false")
    if isinstance(value, bool) and not is_flag:
        raise SettingError(f"{where} is {str(value).lower()}; give a number or text")
    if is_flag:
        return value
    repeated = parameter.nargs != 1 or getattr(parameter, "multiple", False)
    if repeated and isinstance(value, list) and all(map(_is_scalar, value)):
        return [str(item) for item in value]
    if not _is_scalar(value):
        raise SettingError(f"{where}: must be a number or text")
    return [str(value)] if repeated else str(value)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
