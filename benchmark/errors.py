"""What can go wrong, one class a kind of misuse.

Every message is one line that says what happened, where, and what to do next;
the command line prints it as it stands and exits with code 2.
"""


class BenchmarkError(Exception):
    """The base of every error a user can cause and mend."""


def reason(error: Exception) -> str:
    """What is wrong, without the number and the file name that an OSError puts round it."""
    return str(getattr(error, "strerror", None) or error)


class RuleError(BenchmarkError):
    """A world, operation or vocabulary breaks the rules of the boxes task."""


class LanguageError(BenchmarkError):
    """A description is not in the language of the boxes task."""


class DataError(BenchmarkError):
    """A data, prediction or archive file cannot be read or is not what it should be."""


class ModelError(BenchmarkError):
    """A model or tokenizer cannot be found, reached or used."""


class UnavailableModelError(ModelError):
    """A model is gated, or neither here nor to be reached."""


class DoesNotFitError(ModelError):
    """A model does not fit into the memory that there is."""


class SettingError(BenchmarkError):
    """An option has a value that does not exist or does not fit the others."""


class MissingLibraryError(SettingError):
    """An option needs a library that is not installed."""


class ResumeError(BenchmarkError):
    """The output folder holds another run than the one asked for."""
