"""The worked examples of docs/extending.md: new files, edits and commands, read from the page.

A block belongs to the file named in the line above it. A ``diff`` replaces its old lines by its new
lines; the lines must occur once in the file that was named last.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"

_BLOCK = re.compile(
    r"^(?:`(?P<path>[^`\n]+)`(?P<place>|, a new file|, at the end):\n\n)?"
    r"```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines of a file, and what replaces them."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Examples:
    """What the page adds to the project: files by path, edits, and commands in their order."""

    files: Mapping[str, str]
    appended: Mapping[str, str]
    edits: Sequence[Edit]
    commands: Sequence[str]

    def apply(self, root: Path) -> None:
        """Carry out the files and edits in a copy of the project.

        Raises:
            ValueError: if lines to be replaced do not occur exactly once.
            FileExistsError: if a new file is in the project already.
        """
        for path, text in self.files.items():
            with (root / path).open("x", encoding="utf-8") as file:
                file.write(text)
        for path, text in self.appended.items():
            with (root / path).open("a", encoding="utf-8") as file:
                file.write(f"\n{text}")
        for edit in self.edits:
            before = (root / edit.path).read_text(encoding="utf-8")
            if before.count(edit.old) != 1:
                raise ValueError(
                    f"docs/extending.md edits lines of {edit.path} that are not exactly once in "
                    f"it; bring the page up to date:\n{edit.old}"
                )
            after = before.replace(edit.old, edit.new)
            (root / edit.path).write_text(after, encoding="utf-8")


def examples(page: str | None = None) -> Examples:
    """Return the examples of the page.

    Raises:
        ValueError: for a block without a file, an edit or a command.
    """
    text = PAGE.read_text(encoding="utf-8") if page is None else page
    files, appended = dict[str, str](), dict[str, str]()
    edits, commands, path = list[Edit](), list[str](), ""
    for match in _BLOCK.finditer(text):
        path, block = match["path"] or path, match["text"]
        match match["language"], match["place"]:
            case "sh", None:
                commands += block.splitlines()
            case "diff", "" | None:
                edits.append(Edit(path, _side(block, " -"), _side(block, " +")))
            case _, ", a new file":
                files[path] = block
            case _, ", at the end":
                appended[path] = block
            case language, _:
                raise ValueError(f"a {language} block without its file:\n{block}")
    if text.count("\n```") != 2 * len(list(_BLOCK.finditer(text))):
        raise ValueError("a block that is not closed, or has no language")
    return Examples(files, appended, edits, commands)


def _side(diff: str, signs: str) -> str:
    """Return the lines of a diff that begin with one of the signs, without them."""
    return "".join(line[1:] for line in diff.splitlines(keepends=True) if line[0] in signs)
