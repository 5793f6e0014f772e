"""Text that pytest prints for the plugin: reasons, sections of reports, lines of the summary.

pytest writes it past the streams of :mod:`benchmark.streams`, and it may name models and files.
"""

from benchmark.output import printable, without_commands


def shown(text: object) -> str:
    """Return the text for pytest's output: no control characters, and no workflow commands."""
    return without_commands(printable(str(text)))
