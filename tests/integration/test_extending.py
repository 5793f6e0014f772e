"""The worked examples of docs/extending.md, carried out in a copy of the project."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmark.fingerprints.storage import read_fingerprint
from fakes import worked_examples

ROOT = Path(__file__).parents[2]
COPY_A = ROOT / "fixtures" / "models" / "copy-a"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with all files and edits of the page."""
    root = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "benchmark", root / "benchmark", ignore=ignored)
    for name in ("conftest.py", "fixtures", "pyproject.toml", "snapshots", "tests"):
        (root / name).symlink_to(ROOT / name)
    worked_examples.examples().apply(root)
    return root


@pytest.fixture(scope="module")
def printed(project: Path, warm_programs: Path) -> Mapping[str, str]:
    """What each command of the page prints, by its first words; all of them must succeed."""
    lines = worked_examples.examples().commands
    words = {line: shlex.split(line.removeprefix("python ")) for line in lines}
    suites = [line for line in lines if words[line][:2] == ["-m", "pytest"]]
    ended = {
        line: _printed(project, warm_programs / "python", *words[line])
        for line in lines
        if line not in suites
    }
    # pytest warns of modules that were imported before it starts, so it needs a new process: one.
    names = [words[line].pop() for line in suites]
    paths = [word for line in suites for word in words[line][2:-1]]
    suite = ("-m", "pytest", "-v", *paths, "-k", " or ".join(names))
    ended |= dict.fromkeys(suites, _printed(project, Path(sys.executable), *suite))
    assert not {line: text for line, (code, text) in ended.items() if code}
    return {line: text for line, (_, text) in ended.items()}


def _printed(project: Path, python: Path, *words: str) -> tuple[int, str]:
    """Run Python in the project; return its exit status and what it prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(  # noqa: S603
        [python, *words], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout or done.stderr


def _of(printed: Mapping[str, str], word: str) -> str:
    """Return what the only command with this word prints."""
    (text,) = [text for line, text in printed.items() if word in line.split()]
    return text


def test_model_pair(printed: Mapping[str, str]) -> None:
    """Both are measured and the pair's hypothesis is decided."""
    assert "hypothesis at numops >= 1, gain: supported" in _of(printed, "pair")


def test_engine(project: Path, printed: Mapping[str, str]) -> None:
    """``run`` decodes with it, and says so in the result; the tests of its duties pass."""
    assert "runs/naive/result.json" in _of(printed, "runs/naive")
    suite = _of(printed, "tests/unit/decoding/test_padding.py")
    assert suite.count("[naive] PASSED") == 2
    result = json.loads((project / "runs" / "naive" / "result.json").read_text(encoding="utf-8"))
    assert result["protocol"]["engine"] == "naive"
    assert result["overall"]["total"] == 14


def test_task(project: Path, printed: Mapping[str, str]) -> None:
    """All tests of tasks pass on its row, and a model is asked in its words."""
    assert "[put-inside] PASSED" in _of(printed, "tests/unit/test_tasks.py")
    result = json.loads((project / "runs" / "inside" / "result.json").read_text(encoding="utf-8"))
    assert result["data"]["task"] == "put-inside"
    assert "copy-a, put-inside: accuracy" in _of(printed, "--task")


def test_stage(project: Path, printed: Mapping[str, str]) -> None:
    """It is recorded between its neighbours, with one digest per state."""
    assert "same" in _of(printed, "compare")
    stages = read_fingerprint(project / "length.json").stages
    order = list(stages)
    assert order[order.index("prompt_ids") + 1] == "prompt_length"
    assert len(stages["prompt_length"].digests) == 2


def test_tool(printed: Mapping[str, str]) -> None:
    """The script prints one line per state with right or wrong for each of its queries."""
    lines = _of(printed, "answers.py").splitlines()
    assert sorted(line.split()[0] for line in lines) == ["0", "1"]
    assert all(line.count("True") + line.count("False") == 7 for line in lines)


def test_every_block_is_used() -> None:
    """A block without a file, or without a language, is refused rather than left untested."""
    examples = worked_examples.examples
    for page in ("```python\nx\n```\n", "```\nx\n```\n", "`a.py`:\n\n```python\nx\n```\n"):
        with pytest.raises(ValueError, match=r"a block|a python block"):
            examples(page)
    edit = examples("`a.py`:\n\n```diff\n x\n-y\n+z\n```\n")
    assert [(e.path, e.old, e.new) for e in edit.edits] == [("a.py", "x\ny\n", "x\nz\n")]


def test_edit_that_no_longer_fits(tmp_path: Path) -> None:
    """Lines that are not in the file, or twice, and a new file that exists are errors."""
    examples = worked_examples.examples
    (tmp_path / "a.py").write_text("x\nx\n")
    for line in "xy":
        with pytest.raises(ValueError, match="not exactly once"):
            examples(f"`a.py`:\n\n```diff\n-{line}\n+z\n```\n").apply(tmp_path)
    with pytest.raises(FileExistsError):
        examples("`a.py`, a new file:\n\n```python\nx\n```\n").apply(tmp_path)
