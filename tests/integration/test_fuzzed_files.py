"""Readers are given damaged and hostile files, and raise only errors of one line.

Each reader starts from a file that the benchmark wrote or that its documents show. Mutations cut,
double, replace and overwrite pieces of it, with content that has broken readers before: control
characters, numbers out of range, deep nesting, other encodings. ``FUZZ_EXAMPLES`` is the number of
files per reader; ``make soak`` sets it to thousands.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import pyzipper
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.boxes.archive import MEMBER, read_archive
from benchmark.boxes.dataset import read_file, rows
from benchmark.boxes.vocabulary import default_vocabulary, read_vocabulary
from benchmark.controls.recipe import read_recipe
from benchmark.errors import BenchmarkError
from benchmark.fingerprints.storage import read_fingerprint, write_fingerprint
from benchmark.models.registry import read_registry, registry
from benchmark.runs.store.results import read_results
from benchmark.runs.store.runs import read_runs
from benchmark.scoring.predictions import read_predictions
from fakes import finished_runs
from fakes.fake_fingerprints import fake_fingerprint

Reader = Callable[[Path], object]

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "40"))

PIECES = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\n::error::x\n",
    b"\xed\xa0\x80",
    b"[" * 2000,
    b'{"a":' * 500,
    b"a.b." * 300,
    b"9" * 5000,
    b"-1",
    b"1e999",
    b"NaN",
    b"null",
    b"true",
    b'"',
    b"{}",
    b"[]",
    b"=1+1",
    b"$x^2$",
    "\u202e".encode(),
    b"\r\n",
)

REGISTRY = """\
[models.mine]
huggingface_id = "owner/mine"
name = "Mine"
architecture = "llama"
size = "1B"
added = []
format = "completion"
paper = false

[models.mine-code]
huggingface_id = "owner/mine-code"
name = "Mine, code"
architecture = "llama"
size = "1B"
added = ["code"]
format = "chat"
paper = false

[[pairs]]
id = "mine-code"
experiment = "code"
base = "mine"
variant = "mine-code"
hypothesis = "gain"
source = "https://example.org"
"""


def _jsonl() -> bytes:
    states = finished_runs.first_states(3)
    return "".join(f"{row}\n" for state in states for row in rows(state)).encode()


def _predictions() -> bytes:
    lines = ({"input": f"text {n}", "prediction": "Statement: Box 0"} for n in range(4))
    return "".join(f"{json.dumps(line)}\n" for line in lines).encode()


def _result(place: Path) -> bytes:
    folder = finished_runs.write_run(
        place / "run", "owner/mine", finished_runs.first_states(13), finished_runs.mixed_answer
    )
    content: bytes = (folder / "result.json").read_bytes()
    return content


def _archive(place: Path) -> bytes:
    path: Path = place / "data.zip"
    with pyzipper.AESZipFile(path, "w", pyzipper.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, _jsonl())
    return path.read_bytes()


def _record(place: Path, name: str) -> bytes:
    write_fingerprint(fake_fingerprint(), place / name)
    return (place / name).read_bytes()


def _consume(path: Path) -> None:
    for _ in read_file(path):
        pass


def _consume_archive(path: Path) -> None:
    for _ in read_archive(path, None):
        pass


READERS: dict[str, tuple[str, Reader]] = {
    "dataset": ("data.jsonl", _consume),
    "predictions": ("predictions.jsonl", read_predictions),
    "vocabulary": ("vocabulary.csv", read_vocabulary),
    "archive": ("data.zip", _consume_archive),
    "registry": ("registry.toml", read_registry),
    "recipe": ("recipe.toml", read_recipe),
    "fingerprint": ("record.json", read_fingerprint),
    "packed-fingerprint": ("record.json.gz", read_fingerprint),
    "results": ("result.json", lambda path: read_results(path.parent, registry())),
    "runs": ("result.json", lambda path: read_runs([path.parent], registry())),
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A good file for each reader."""
    place = tmp_path_factory.mktemp("seeds")
    result = _result(place)
    return {
        "dataset": _jsonl(),
        "predictions": _predictions(),
        "vocabulary": ("object_name\n" + "\n".join(default_vocabulary()) + "\n").encode(),
        "archive": _archive(place),
        "registry": REGISTRY.encode(),
        "recipe": (Path(__file__).parents[1] / "fakes" / "tiny_recipe.toml").read_bytes(),
        "fingerprint": _record(place, "record.json"),
        "packed-fingerprint": _record(place, "record.json.gz"),
        "results": result,
        "runs": result,
    }


@st.composite
def mutations(draw: st.DrawFn) -> list[tuple[str, float, float, bytes]]:
    """Draw changes of a file: the kind, the position, the length and the new content."""
    change = st.tuples(
        st.sampled_from(["insert", "replace", "delete", "repeat", "cut"]),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 0.2),
        st.sampled_from(PIECES) | st.binary(max_size=8),
    )
    return draw(st.lists(change, min_size=1, max_size=4))


def mutated(content: bytes, changes: list[tuple[str, float, float, bytes]]) -> bytes:
    """Return the content after these changes."""
    for kind, where, share, piece in changes:
        start = int(where * len(content))
        end = start + max(1, int(share * len(content)))
        middle = {
            "insert": piece + content[start:end],
            "replace": piece,
            "delete": b"",
            "repeat": content[start:end] * 2,
            "cut": b"",
        }[kind]
        content = content[:start] + middle + (b"" if kind == "cut" else content[end:])
    return content


@pytest.fixture(params=READERS)
def reader(
    request: pytest.FixtureRequest, seeds: dict[str, bytes], tmp_path: Path
) -> tuple[Path, Reader, bytes]:
    """The path of a reader's file, the reader, and a good file."""
    name, read = READERS[request.param]
    path = tmp_path / name
    return path, read, seeds[request.param]


def test_the_good_file_is_read(reader: tuple[Path, Reader, bytes]) -> None:
    """The files that the mutations start from can be read."""
    path, read, content = reader
    path.write_bytes(content)
    if path.name != "record.json":  # its columns are in another file
        read(path)


@settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=mutations())
def test_a_bad_file_is_one_line(
    reader: tuple[Path, Reader, bytes], changes: list[tuple[str, float, float, bytes]]
) -> None:
    """The file is read, or one of the project's errors says in one line what is wrong."""
    path, read, content = reader
    path.write_bytes(mutated(content, changes))
    assert len(_error(read, path)) <= 1000


def _error(read: Reader, path: Path) -> str:
    try:
        read(path)
    except BenchmarkError as error:
        return str(error)
    return ""
