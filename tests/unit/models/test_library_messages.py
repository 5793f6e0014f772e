"""Warnings of libraries are collected while a model is loaded."""

import logging
import sys
import warnings

import pytest

from benchmark.models.library_messages import collected_messages, keep_messages, messages_of


class Loaded:
    """An object that was loaded."""


def test_warnings_are_collected_once_and_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings of loggers and of Python are collected on one line each; stderr stays empty."""
    with collected_messages() as messages:
        for _ in range(2):
            logging.getLogger("transformers.modeling_utils").warning("some\nweights")
        logging.getLogger("transformers").info("not a warning")
        warnings.warn("an old file", FutureWarning, stacklevel=1)
        sys.stderr.write("progress")
    assert messages == ["some weights", "FutureWarning: an old file"]
    assert capsys.readouterr().err == ""


def test_handlers_are_restored_after_an_error() -> None:
    """The loggers have their own handlers again, also after an error."""
    logger = logging.getLogger("transformers")
    before = list(logger.handlers)
    with pytest.raises(KeyError), collected_messages():
        raise KeyError
    assert logger.handlers == before


def test_messages_are_kept_with_their_object() -> None:
    """Every object has its own messages; another one has none."""
    first, second = Loaded(), Loaded()
    keep_messages(first, ["a"])
    assert messages_of(first) == ("a",)
    assert messages_of(second) == ()


def test_a_warning_that_is_shown_once_is_collected_again() -> None:
    """The second model of a process has the warnings of its own."""
    pytest.importorskip("transformers")  # which adds the method
    logger = logging.getLogger("transformers")
    for _ in range(2):
        with collected_messages() as messages:
            logger.warning_once("once")  # type: ignore[attr-defined]  # added by transformers
        assert messages == ["once"]


def test_a_silenced_library_is_heard() -> None:
    """Its level, as ``TRANSFORMERS_VERBOSITY=error`` sets it, is lowered and restored."""
    logger = logging.getLogger("transformers")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with collected_messages() as messages:
            logging.getLogger("transformers.modeling_utils").warning("tied weights differ")
        assert messages == ["tied weights differ"]
        assert logger.level == logging.ERROR
    finally:
        logger.setLevel(before)
