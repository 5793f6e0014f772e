"""The command blocks of README.md, CONTRIBUTING.md and docs/: which are run, and which are not.

A block is fenced as ``bash``. It is run unless the line above it is a comment with the reason why
not::

    <!-- not run: needs a GPU -->
    ```bash
    pytest -m gpu
    ```
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?(?P<indent> *)```bash\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class CommandBlock:
    """A block of commands.

    Attributes:
        text: the commands, for a shell.
        reason: why the block is not run; empty for one that is.
    """

    text: str
    reason: str = ""


def blocks(text: str) -> Sequence[CommandBlock]:
    """Return the command blocks of a page, in its order."""
    return tuple(
        CommandBlock(match["text"], match["reason"] or "") for match in _BLOCK.finditer(text)
    )
