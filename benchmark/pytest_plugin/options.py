"""The options of the plugin, and the run that they describe."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from benchmark.pytest_plugin.shown import shown
from benchmark.reproduction.settings import SETTINGS_OF_PAIRS

if TYPE_CHECKING:
    from benchmark.runs.requests import RunRequest

_DATA = ("password", "states", "task")
_DEFAULTS = {"protocol": "default", "task": "boxes", "model_store": Path("runs/store")}


class _Option(NamedTuple):
    """An option of the plugin: its name, and the arguments of pytest's ``addoption``.

    ``decides`` is whether it decides what a test measures or when a result is accepted, so that a
    second process which measures the same needs it.
    """

    name: str
    settings: Mapping[str, Any]
    decides: bool = True


def _option(name: str, *, decides: bool = True, **settings: object) -> _Option:
    return _Option(name, settings, decides)


_OPTIONS = (
    _option(
        "--device", help="run the cases marked gpu here; cpu rehearses them (default: all GPUs)"
    ),
    _option("--registry", type=Path, metavar="FILE", help="your own models and pairs, TOML"),
    _option(
        "--model-store",
        decides=False,
        type=Path,
        metavar="DIR",
        default=_DEFAULTS["model_store"],
        help="folder of finished measurements, which are reused (default: runs/store)",
    ),
    _option(
        "--bless",
        decides=False,
        metavar="REASON",
        help="why --snapshot-update may change fingerprints",
    ),
    _option(
        "--no-confirm",
        decides=False,
        action="store_true",
        help="record snapshots that no second process has given again",
    ),
    _option(
        "--known-failures",
        type=Path,
        metavar="FILE",
        help="tests that must fail, TOML (default: known_failures.toml, if it exists)",
    ),
    _option(
        "--margin",
        type=float,
        metavar="POINTS",
        help="largest difference that counts as none (default: 1; from the paper's figures 5)",
    ),
    _option(
        "--require-all",
        decides=False,
        action="store_true",
        help="fail where a test would be skipped",
    ),
    _option("--states", type=int, metavar="N", help="only the first N states"),
    _option("--data", type=Path, metavar="FILE", help="JSON lines or the original ZIP"),
    _option("--password", help="of the original ZIP"),
    _option(
        "--task",
        default=_DEFAULTS["task"],
        metavar="NAME",
        help="see: entity-tracking list tasks (default: boxes)",
    ),
    _option(
        "--protocol", default=_DEFAULTS["protocol"], help="default or paper (default: default)"
    ),
    _option("--engine", metavar="NAME", help="see: entity-tracking list engines"),
    _option("--dtype", help="float32, bfloat16 or float16 (default: the protocol's)"),
    _option("--batch-size", type=int, metavar="N", help="(default: the protocol's)"),
    _option("--max-new-tokens", type=int, metavar="N", help="(default: the protocol's)"),
    _option(
        "--tensor-parallel",
        type=int,
        metavar="N",
        help="of vLLM (default: the fewest GPUs that hold the model)",
    ),
    _option("--pipeline-parallel", type=int, metavar="N", help="of vLLM (default: 1)"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that cases marked ``gpu`` are measured with."""
    group = parser.getgroup("entity tracking benchmark")
    for option in _OPTIONS:
        group.addoption(option.name, **option.settings)


def deciding_options(config: pytest.Config) -> Iterator[str]:
    """Yield the words of a command line with which another process measures the same.

    Paths are absolute, so that the process may run in another folder.
    """
    for option in _OPTIONS:
        value = config.getoption(option.name) if option.decides else None
        if value is not None:
            yield option.name
            yield str(value.absolute() if isinstance(value, Path) else value)


def margin(config: pytest.Config, default: float) -> float:
    """Return the margin of ``--margin`` as a share, or the default."""
    points: float | None = config.getoption("--margin")
    return default if points is None else points / 100


def device(config: pytest.Config) -> str:
    """Return the resolved device; all GPUs by default.

    Raises:
        SettingError: when the device does not exist here.
    """
    from benchmark.models.loading import resolve_device

    return resolve_device(config.getoption("--device") or "cuda")


def run_request(config: pytest.Config, device_name: str) -> "RunRequest":
    """Return a request with the settings and data of the options, and an empty model.

    Raises:
        SettingError: for a value of another type, and for an unknown task.
    """
    from benchmark.runs.requests import RunRequest, data_request_of
    from benchmark.runs.settings import settings_of

    option = config.option
    values = {name: getattr(option, name) for name in SETTINGS_OF_PAIRS}
    settings = settings_of({**values, "device": device_name})
    data = data_request_of({"path": option.data, **{name: getattr(option, name) for name in _DATA}})
    return RunRequest.of(settings, data=data, out=option.model_store)


def _updates_in_workers(config: pytest.Config) -> bool:
    """Return whether workers of xdist would write snapshots, which are not confirmed then."""
    updates = config.getoption("--snapshot-update", default=False)
    workers = getattr(config.option, "tx", None)
    return bool(updates and workers and not config.option.no_confirm)


def check_options(config: pytest.Config) -> None:
    """Check the values of the options before any test is collected, and any worker started.

    Raises:
        pytest.UsageError: for a value that does not exist or does not suit this machine.
    """
    option = config.option
    if _updates_in_workers(config):
        raise pytest.UsageError(
            "snapshots are not updated in parallel; leave out -n, or add --no-confirm"
        )
    if option.margin is not None and not 0 < option.margin <= 100:  # noqa: PLR2004  # points
        raise pytest.UsageError(f"--margin {option.margin:g} is not above 0 and at most 100 points")
    names = ("device", "registry", "model_store", "data", *_DATA, *SETTINGS_OF_PAIRS)
    changed = {name for name in names if getattr(option, name) != _DEFAULTS.get(name)}
    if not changed:
        return  # so that other test runs import nothing here
    from benchmark.errors import BenchmarkError, SettingError
    from benchmark.models.registry import load_registry
    from benchmark.runs.data import load_states
    from benchmark.runs.resolution import resolve

    try:
        if option.model_store.exists() and not option.model_store.is_dir():
            raise SettingError(f"--model-store {option.model_store}: a file; name a folder")
        load_registry(option.registry)
        request = run_request(config, device(config) if option.device else "cpu")
        resolve(request)
        if changed & {"data", *_DATA}:
            load_states(request.data)
    except BenchmarkError as error:
        raise pytest.UsageError(shown(" ".join(str(error).split()))) from None
