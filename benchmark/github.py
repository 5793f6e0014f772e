"""Report to GitHub Actions: annotations, and the summary of a step."""

from collections.abc import Mapping
from pathlib import Path

from benchmark.output import workflow_data, workflow_property
from benchmark.writing import open_regular_for_appending

SUMMARY = "GITHUB_STEP_SUMMARY"
_ADVICE = f"set {SUMMARY} to a file that can be written to, or unset it"


def is_github(environment: Mapping[str, str]) -> bool:
    """Return whether GitHub's runner reads the output."""
    return environment.get("GITHUB_ACTIONS") == "true"


def annotation(level: str, title: str, message: str) -> str:
    """Return the workflow command that shows a message with the run.

    Args:
        level: ``error``, ``warning`` or ``notice``.
        title: shown above the message.
        message: its lines.
    """
    return f"::{level} title={workflow_property(title)}::{workflow_data(message)}"


def add_to_summary(text: str, environment: Mapping[str, str]) -> None:
    """Append Markdown to the step's summary, if there is one.

    Raises:
        DataError: if the summary is not a regular file.
        OSError: naming the summary and its variable, if it cannot be written.
    """
    if not (path := environment.get(SUMMARY)):
        return
    try:
        with open_regular_for_appending(Path(path), create=True, advice=_ADVICE) as file:
            file.write(text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; {_ADVICE}", path) from error
