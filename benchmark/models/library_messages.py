"""Collect what libraries warn about while they load a tokenizer or weights.

transformers and torch write warnings to stderr, where they would be lost between the lines of the
progress. They are kept here with the loaded object, for the result document. Their wording differs
between releases, so they are never part of an identity.
"""

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from weakref import WeakKeyDictionary

_LOGGERS = ("transformers", "tokenizers", "torch", "accelerate", "peft", "py.warnings")
_LONGEST = 1000
"""The most characters that are kept of a message."""

_OTHER_CLASS = re.compile(r"Unrecognized configuration class <class '(\w+\.)*(?P<name>\w+)'>")

_MESSAGES: "WeakKeyDictionary[object, tuple[str, ...]]" = WeakKeyDictionary()


class _Collector(logging.Handler):
    """A handler that keeps messages of level WARNING and above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record."""
        self.add(record.getMessage())

    def add(self, message: str) -> None:
        """Keep a message on one line, once."""
        line = " ".join(message.split())[:_LONGEST]
        if line and line not in self.messages:
            self.messages.append(line)


@contextmanager
def collected_messages() -> Iterator[list[str]]:
    """Suppress the libraries' output, and collect their warnings in the list that is yielded."""
    collector = _Collector()
    loggers: dict[logging.Logger, list[logging.Handler]] = {
        logging.getLogger(name): [] for name in _LOGGERS
    }
    levels = {logger: logger.level for logger in loggers}
    for logger in loggers:
        # TRANSFORMERS_VERBOSITY may hide what has to be in the result.
        logger.setLevel(min(logger.level, logging.WARNING))
        # Their own handlers write to the stderr of the time of their import.
        loggers[logger], logger.handlers = logger.handlers, [collector]
    _forget_earlier_warnings()
    try:
        with warnings.catch_warnings(record=True) as caught, redirect_stderr(io.StringIO()):
            warnings.simplefilter("default")
            yield collector.messages
        for warning in caught:
            collector.add(f"{warning.category.__name__}: {warning.message}")
    finally:
        for logger, handlers in loggers.items():
            logger.handlers = handlers
            logger.setLevel(levels[logger])


def keep_messages(loaded: object, messages: list[str]) -> None:
    """Keep the messages of loading an object, for as long as the object exists."""
    _MESSAGES[loaded] = tuple(messages)


def messages_of(loaded: object) -> tuple[str, ...]:
    """Return the messages of loading an object."""
    return _MESSAGES.get(loaded, ())


def _forget_earlier_warnings() -> None:
    """Make transformers repeat warnings that it shows only once per process."""
    once = getattr(logging.Logger, "warning_once", None)
    if clear := getattr(once, "cache_clear", None):
        clear()


def missing_class(error: Exception) -> str | None:
    """Return the error of transformers for a type that has no causal language model, else None.

    Its own message lists all types that have one.
    """
    match = _OTHER_CLASS.match(str(error))
    return f"transformers has no causal language model for {match['name']}" if match else None
