"""Readers of files stop at their bounds, with an error of one line that names the file."""

import gzip
import io
import json
import lzma
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.errors import DataError
from benchmark.reading import bounds, documents, files, unpacking
from fakes.command_line import command_line

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.fixture
def tight(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bounds of a few bytes."""
    small = bounds.Bounds(document=100, line=20, unpacked=1000, depth=5)
    monkeypatch.setattr(bounds, "_USUAL", small)
    token = bounds._BOUNDS.set(small)
    yield
    bounds._BOUNDS.reset(token)


@given(VALUES)
def test_json_is_read_as_the_library_reads_it(value: object) -> None:
    """Any document within the bounds is read unchanged."""
    assert documents.parse_json(json.dumps(value), "x") == value


@pytest.mark.parametrize("depth", [101, 990, 200_000])
@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_deep_json_is_refused(opening: str, depth: int) -> None:
    """Where Python recurses, and where it does not."""
    closing = {"[": "]"}.get(opening, "}")
    with pytest.raises(DataError, match=r"^f\.json:3: nested"):
        documents.parse_json(opening * depth + "1" + closing * depth, "f.json:3")


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x" + ".y" * 150 + " = 1",
        "x" + " . y" * 500_000,
        ".".join(['"a b"'] * 8000) + " = 1",
        " . ".join(["'a.b'", "c", r'"\"d"'] * 8000) + " = 1",
        "[x" + '."b c".d' * 8000 + "]",
        "x = { y" + ".'b c'" * 8000 + " = 1 }",
        'x = { y = """\'"\' """"", z' + '."b c"' * 8000 + " = 1 }",
    ],
)
def test_deep_toml_is_refused(text: str) -> None:
    """By brackets and by dots, also between parts in quotation marks."""
    with pytest.raises(DataError, match=r"^r\.toml: nested"):
        documents.parse_toml(text, "r.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1" * 5000, r"not JSON: Exceeds the limit \(4300 digits\) for .* has 5000 digits$"),
        ("{", "not JSON: Expecting property name"),
        ('{"a": 1, "a": 2}', "not JSON: a field occurs twice"),
        ("[1]", "not a JSON object but"),
        ('{"a": NaN}', "not JSON: NaN is not a finite number"),
        ('{"a": [1, -Infinity]}', "not JSON: -Infinity is not a finite number"),
        ('{"a": 1e999}', "not JSON: 1e999 is not a finite number"),
        ('{"a": -1.0e+400}', "not JSON: -1.0e"),
    ],
)
def test_bad_json_is_one_line(text: str, words: str) -> None:
    """A number of thousands of digits, half an object, a name twice, another value."""
    with pytest.raises(DataError, match=words) as caught:
        documents.json_object(text, "f.json")
    assert "\n" not in str(caught.value)


def test_a_pipe_needs_a_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one it is refused after seconds; with one that is slow it is read."""
    monkeypatch.setattr(files, "_WAIT", 0.02)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(DataError, match="no program writes to this pipe"):
        list(files.read_lines(pipe))
    keep = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(pipe, os.O_WRONLY)

    def write() -> None:
        os.write(writer, b"a\nb")
        os.close(writer)

    threading.Timer(0.2, write).start()
    assert list(files.read_lines(pipe)) == ["a\n", "b"]
    os.close(keep)


@pytest.mark.parametrize("read", [documents.parse_json, documents.parse_toml])
def test_a_pointer_of_git_lfs_is_named(read: Callable[[str, str], object]) -> None:
    """In place of data, results and registries too."""
    with pytest.raises(DataError, match=r"^f: a Git LFS pointer, not the file: run git lfs pull$"):
        read("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "f")


@pytest.mark.parametrize("number", ["nan", "-inf", "1e999", "+inf"])
def test_toml_numbers_are_finite(number: str) -> None:
    """A limit or a rate of infinity means nothing."""
    with pytest.raises(DataError, match=r"^r\.toml: not TOML: .* is not a finite number"):
        documents.parse_toml(f"a = {number}", "r.toml")


@pytest.mark.parametrize("text", ['{"a": [1, Infinity, 1e999]}', '{"a": 1, "a": 2}'])
def test_files_of_models_are_read_as_libraries_do(text: str) -> None:
    """Configurations of Mamba 2 have an infinite limit of time steps."""
    assert documents.json_object(text, "config.json", strict=False) == json.loads(text)


@pytest.mark.parametrize(
    "unit",
    ['"', "'", '\\"', '"""', "a.", '"a".', "\"'", "[", '"\\', "a" * 50 + "\n", ".a" * 99],
)
def test_the_bound_on_keys_takes_linear_time(unit: str) -> None:
    """No repeated text makes the search for long keys slow."""
    start = time.monotonic()
    for token in documents._TOML.finditer(unit * (2_000_000 // len(unit))):
        documents._parts(token)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("unit", ["[]", "{}", "[1]", '{"a":[]}'])
def test_wide_json_takes_linear_time(unit: str) -> None:
    """A million small containers are read in seconds."""
    start = time.monotonic()
    documents.parse_json("[" + ",".join([unit] * 1_000_000) + "]", "wide.json")
    assert time.monotonic() - start < 20


@given(VALUES, st.integers(1, 8))
def test_depth_is_that_of_a_recursive_count(value: object, limit: int) -> None:
    """The bound is compared with the levels below which a value lies."""

    def depth(inner: object) -> int:
        children = list(inner.values()) if isinstance(inner, dict) else inner
        if not isinstance(children, list):
            return 1
        return 1 + max((depth(child) for child in children), default=0)

    token = bounds._BOUNDS.set(bounds.Bounds(depth=limit))
    try:
        if depth(value) > limit:
            with pytest.raises(DataError, match="nested more"):
                documents.parse_json(json.dumps(value), "x")
        else:
            assert documents.parse_json(json.dumps(value), "x") == value
    finally:
        bounds._BOUNDS.reset(token)


def test_dots_in_a_text_are_no_key() -> None:
    """Nor is a long word without dots, which takes no time."""
    text = f"x = '{'a b. ' * 500}'\ny = '{'b' * 1_000_000}'"
    assert documents.parse_toml(text, "r.toml").keys() == {"x", "y"}


def test_bad_toml_is_one_line() -> None:
    """With the place that the library names."""
    with pytest.raises(DataError, match=r"^r\.toml: not TOML: "):
        documents.parse_toml("x = ", "r.toml")
    with pytest.raises(DataError, match=r"^r\.toml: not TOML: Exceeds .* has 5000 digits$"):
        documents.parse_toml("x = " + "1" * 5000, "r.toml")


@pytest.mark.usefixtures("tight")
def test_a_document_has_a_bound(tmp_path: Path) -> None:
    """One byte more than it is refused, and the option that raises it is named."""
    path = tmp_path / "config.json"
    path.write_bytes(b"x" * 100)
    assert len(files.read_text(path)) == 100
    path.write_bytes(b"x" * 101)
    with pytest.raises(DataError, match=r"config\.json: longer than 100 bytes; .*--read-limit"):
        files.read_text(path)
    with bounds.bounds(2):
        assert len(files.read_text(path)) == 101


@pytest.mark.usefixtures("tight")
def test_a_line_has_a_bound(tmp_path: Path) -> None:
    """A file without line ends is not read to its end."""
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"a" * 19 + b"\n" + b"b" * 10_000)
    lines = files.read_lines(path)
    assert next(lines) == "a" * 19 + "\n"
    with pytest.raises(DataError, match=r"data\.jsonl:2: a line longer than 20 bytes"):
        next(lines)


def test_an_endless_line_is_left_at_once() -> None:
    """A line without an end is read up to the bound only."""

    class Endless(io.RawIOBase):
        requested = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            self.requested += len(buffer)
            buffer[:] = b"a" * len(buffer)
            return len(buffer)

    endless = Endless()
    with pytest.raises(DataError, match="a line longer than 1 MiB"):
        next(files.decoded_lines(io.BufferedReader(endless), "pipe"))
    assert endless.requested < 2 * 2**20


@pytest.mark.parametrize("name", ["bounds.jsonl", "document.json"])
def test_a_byte_order_mark_is_dropped(tmp_path: Path, name: str) -> None:
    """As editors on Windows put it in front."""
    path = tmp_path / name
    path.write_bytes('\ufeff{"a": "ä"}\n'.encode())
    assert documents.read_json(path) == {"a": "ä"}
    assert list(files.read_lines(path)) == ['{"a": "ä"}\n']


def test_what_is_not_utf8_is_named(tmp_path: Path) -> None:
    """With the line, in a file of lines."""
    path = tmp_path / "x"
    path.write_bytes(b"good\n\xff\n")
    with pytest.raises(DataError, match=r"x:2: cannot be read: invalid start byte"):
        list(files.read_lines(path))
    with pytest.raises(DataError, match=r"x: cannot be read"):
        files.read_text(path)


def test_a_pipe_without_a_writer_is_no_document(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    path = tmp_path / "config.json"
    os.mkfifo(path)
    with pytest.raises(DataError, match="not a regular file"):
        files.read_text(path)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_a_folder_and_nothing_are_named(tmp_path: Path, name: str) -> None:
    """With what the system says."""
    with pytest.raises(DataError, match=r"cannot be read|not a regular file"):
        files.read_text(tmp_path / name)


@pytest.mark.parametrize(
    ("unpack", "pack"), [(unpacking.gunzip, gzip.compress), (unpacking.unxz, lzma.compress)]
)
@pytest.mark.usefixtures("tight")
def test_what_unpacks_to_too_much_is_refused(
    unpack: Callable[[bytes, str], bytes], pack: Callable[[bytes], bytes]
) -> None:
    """Unpacking stops at the bound; truncated or damaged data are an error too."""
    assert unpack(pack(b"a" * 1000), "f") == b"a" * 1000
    with pytest.raises(DataError, match="f: unpacks to more than 1000 bytes"):
        unpack(pack(b"a" * 1001), "f")
    noise = bytes(np.random.default_rng(0).integers(0, 256, 50, dtype=np.uint8))
    with pytest.raises(DataError, match=r"f: not .*, or damaged"):
        unpack(noise, "f")
    with pytest.raises(DataError, match=r"f: .*(damaged|cut off)"):
        unpack(pack(noise)[:-9], "f")
    with pytest.raises(DataError, match=r"f: .*more data follow its end"):
        unpack(pack(b"a") * 2, "f")


@pytest.mark.usefixtures("tight")
def test_a_member_has_a_bound() -> None:
    """The content of an archive is bounded even if its header declares a smaller size."""
    assert unpacking.read_member(io.BytesIO(b"a" * 1000), "m") == b"a" * 1000
    with pytest.raises(DataError, match="m: unpacks to more than 1000 bytes"):
        unpacking.read_member(io.BytesIO(b"a" * 2**21), "m")


@pytest.mark.parametrize(
    ("count", "words"), [(1023, "1023 bytes"), (2**20, "1 MiB"), (5 * 2**30, "5 GiB")]
)
def test_sizes_in_words(count: int, words: str) -> None:
    """In binary units."""
    assert bounds.size(count) == words


def test_the_command_line_raises_the_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a factor, before the verb."""
    small = bounds.Bounds(unpacked=1000)
    monkeypatch.setattr(bounds, "_USUAL", small)
    token = bounds._BOUNDS.set(small)
    path = tmp_path / "bomb.json.gz"
    path.write_bytes(gzip.compress(b"\0" * 1500))
    try:
        refused = command_line("compare", path, path)
        read = command_line("--read-limit", "2", "compare", path, path)
    finally:
        bounds._BOUNDS.reset(token)
    assert refused.returncode == read.returncode == 2
    assert "unpacks to more than 1000 bytes; read more with: " in refused.stderr
    assert "not JSON" in read.stderr


def test_the_documented_bounds_are_those_of_the_code() -> None:
    """``docs/reliability.md`` has a row for each, with its value."""
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    page = page.partition("## Bounds")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE)
    usual = bounds.Bounds()
    sizes = {"document": usual.document, "line": usual.line, "unpacked": usual.unpacked}
    expected = {name: bounds.size(value) for name, value in sizes.items()}
    assert dict(rows) == expected | {"depth": str(usual.depth)}
    assert {field.name for field in fields(usual)} == dict(rows).keys()
