"""Exceptions, one class per kind of misuse.

Every message is one line that says what happened, where, and what to do next. The command line
prints it and exits with code 2.
"""

_LONGEST = 1000
"""Characters of a message; one that quotes a file may be as long as the file."""


class BenchmarkError(Exception):
    """The base of every error that a user can cause and fix."""

    def __str__(self) -> str:
        """Return the message, without the middle of one that quotes a very long text."""
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 300]} ... {text[-290:]}"


def reason(error: Exception) -> str:
    """Return the error's message, of an OSError without its number and file name."""
    return str(getattr(error, "strerror", None) or error)


def first_line(error: Exception) -> str:
    """Return the error's message on one line, shortened."""
    return " ".join(str(error).split())[:300]


class RuleError(BenchmarkError):
    """A world, operation or vocabulary breaks the rules of the boxes task."""


class LanguageError(BenchmarkError):
    """A description is not in the language of the boxes task."""


class DataError(BenchmarkError):
    """A data, prediction or archive file cannot be read or is invalid."""


class ModelError(BenchmarkError):
    """A model or tokenizer cannot be found, reached or used."""


class RefusedModelError(ModelError):
    """A model loads, but its answers would mean nothing: a score of it must not be made.

    Attributes:
        refuses_model: marks the class for :mod:`benchmark.decoding.external.serving`, which
            imports no others.
    """

    refuses_model = True


class UnavailableModelError(ModelError):
    """A model is gated, or is neither on this machine nor reachable."""


class DoesNotFitError(ModelError):
    """A model does not fit into the available memory, or its files on the disk."""


class SettingError(BenchmarkError):
    """An option has an invalid value, or one that contradicts other options."""


class MissingLibraryError(SettingError):
    """An option needs a library that is not installed."""


class ResumeError(BenchmarkError):
    """The output folder holds a run with different settings from the requested one."""
