"""Settings: each has one field, one option and one name everywhere."""

from dataclasses import asdict
from typing import get_args

import pytest

from benchmark.cli import bundles, options
from benchmark.errors import SettingError
from benchmark.pytest_plugin import options as plugin_options
from benchmark.reproduction.settings import SETTINGS_OF_PAIRS
from benchmark.runs.requests import DataRequest, data_request_of
from benchmark.runs.settings import SETTINGS, Settings, settings_of
from benchmark.tasks import TASKS


def test_every_setting_has_an_option() -> None:
    """The command line has an option per setting, with the same default."""
    assert tuple(options.SETTINGS) == SETTINGS
    defaults = {name: default for name, (_, default) in options.SETTINGS.items()}
    assert defaults == asdict(Settings())
    assert settings_of(defaults) == Settings()


def test_options_that_choose_data() -> None:
    """The options build a data request; the verb sets the split."""
    defaults = {name: default for name, (_, default) in options.DATA.items()}
    values = {"path": defaults.pop("data"), **defaults}
    assert data_request_of(values) == DataRequest()
    assert {*values, "split"} == set(asdict(DataRequest()))


def test_a_command_gets_bundled_options() -> None:
    """The named options become one value; other parameters are unchanged."""
    seen: list[tuple[str, object]] = []

    @bundles.settings_options("device", "batch_size")
    def command(model: str, settings: object) -> None:
        seen.append((model, settings))

    command(model="m", options_file=None, device="cpu", batch_size=4)
    assert seen == [("m", Settings(device="cpu", batch_size=4))]
    assert list(command.__annotations__) == ["model", "options_file", "device", "batch_size"]
    with pytest.raises(KeyError, match="batchsize"):
        bundles.settings_options("batchsize")


def test_numbers_may_be_text() -> None:
    """A harness passes ``-M batch_size=8`` as text or as a number."""
    assert settings_of({"batch_size": "8"}) == settings_of({"batch_size": 8})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batchsize": 8}, "unknown setting 'batchsize'; choose one of engine, protocol"),
        ({"batch_size": "eight"}, "--batch-size 'eight': Input should be a valid integer"),
        ({"engine": 3}, "--engine 3: Input should be a valid string"),
        ({"batch_size": True}, "--batch-size True: must be a number or text"),
    ],
)
def test_invalid_settings(values: dict[str, object], message: str) -> None:
    """The error names the setting or value, and what is allowed."""
    with pytest.raises(SettingError, match=message):
        settings_of(values)


def test_tasks_are_listed() -> None:
    """The help of ``--task`` names every task."""
    (option,) = get_args(options.Task)[1:]
    assert all(name in option.help for name in TASKS)


def test_an_unknown_task() -> None:
    """An unknown task is refused, with the list of tasks."""
    with pytest.raises(SettingError, match="unknown task 'chess'; choose one of boxes"):
        data_request_of({"task": "chess"})


def test_plugin_options_have_the_names_of_settings(pytester: pytest.Pytester) -> None:
    """Options of the plugin have the names of settings."""
    parser = pytest.Parser(_ispytest=True)
    plugin_options.pytest_addoption(parser)
    (group,) = (group for group in parser._groups if group.name == "entity tracking benchmark")
    names = {option.dest for option in group.options}
    assert names & set(SETTINGS) == {"device", *SETTINGS_OF_PAIRS}
