"""Settings are one object: each has one field, one option, and one name everywhere."""

from dataclasses import asdict

import pytest

from benchmark.cli import options
from benchmark.errors import SettingError
from benchmark.pytest_plugin import hooks
from benchmark.runs.requests import DataRequest, data_request_of
from benchmark.runs.settings import SETTINGS, Settings, settings_of


def test_every_setting_has_an_option() -> None:
    """The command line has all of them under their names, with the defaults of the object."""
    assert tuple(options.SETTINGS) == SETTINGS
    defaults = {name: default for name, (_, default) in options.SETTINGS.items()}
    assert defaults == asdict(Settings())
    assert settings_of(defaults) == Settings()


def test_options_that_choose_data() -> None:
    """They make up a request for states; its split is the verb's own business."""
    defaults = {name: default for name, (_, default) in options.DATA.items()}
    values = {"path": defaults.pop("data"), **defaults}
    assert data_request_of(values) == DataRequest()
    assert {*values, "split"} == set(asdict(DataRequest()))


def test_a_command_gets_bundled_options() -> None:
    """Those that it names become one value; its other parameters stay as they are."""
    seen: list[tuple[str, object]] = []

    @options.takes_settings("device", "batch_size")
    def command(model: str, settings: object) -> None:
        seen.append((model, settings))

    command(model="m", device="cpu", batch_size=4)
    assert seen == [("m", Settings(device="cpu", batch_size=4))]
    assert list(command.__annotations__) == ["model", "device", "batch_size"]
    with pytest.raises(KeyError, match="batchsize"):
        options.takes_settings("batchsize")


def test_harnesses_give_numbers_as_text() -> None:
    """``-M batch_size=8`` comes as text or as a number."""
    assert settings_of({"batch_size": "8"}) == settings_of({"batch_size": 8})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batchsize": 8}, "no setting 'batchsize'; choose from engine, protocol"),
        ({"batch_size": "eight"}, "--batch-size 'eight': Input should be a valid integer"),
        ({"engine": 3}, "--engine 3: Input should be a valid string"),
        ({"batch_size": True}, "--batch-size True: a number is wanted"),
    ],
)
def test_what_is_no_setting(values: dict[str, object], message: str) -> None:
    """One line says which name or value, and what could stand there."""
    with pytest.raises(SettingError, match=message):
        settings_of(values)


def test_an_unknown_task() -> None:
    """It is refused with those that there are."""
    with pytest.raises(SettingError, match="unknown task 'chess'; choose one of boxes"):
        data_request_of({"task": "chess"})


def test_the_plugin_knows_settings_by_the_same_names(pytester: pytest.Pytester) -> None:
    """What pytest takes is among the settings, so that it goes into the same object."""
    parser = pytest.Parser(_ispytest=True)
    hooks.pytest_addoption(parser)
    (group,) = (each for each in parser._groups if each.name == "entity tracking benchmark")
    names = {option.dest for option in group.options}
    assert names & set(SETTINGS) == {"device", *hooks.SETTINGS_OF_PYTEST}
