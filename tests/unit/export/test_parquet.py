"""Parquet files, read back with pyarrow."""

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmark.errors import MissingLibraryError
from benchmark.export.parquet import write_results
from benchmark.export.rows import result_rows, valid_utf8
from benchmark.models.registry import registry
from benchmark.report.gather import answered_states
from benchmark.runs.store.runs import read_runs
from fakes import finished_runs

if TYPE_CHECKING:
    from pyarrow import parquet
else:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install pyarrow")


def test_round_trip(tmp_path: Path) -> None:
    """All rows, columns and values are read back, hostile text included."""
    hostile = f"Statement: Box 0 contains the \x00\x07\x1b[31m.{finished_runs.HOSTILE}"
    states = finished_runs.first_states(13)
    folder = tmp_path / "run"
    finished_runs.write_run(folder, "x/\x1b", states, lambda _: hostile)
    runs = read_runs([folder], registry())
    rows = list(result_rows(runs, answered_states(runs)))
    path = tmp_path / os.fsdecode(b"d\xff") / "r.parquet"
    assert write_results(path, rows) == 13 * 7
    table = parquet.read_table(io.BytesIO(path.read_bytes()))
    assert table.to_pylist() == rows
    assert table.column("text")[0].as_py() == valid_utf8(hostile)
    assert table.column("predicted")[0].as_py() == ["\x00\x07\x1b[31m"]


def test_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of several row groups are complete and in order."""
    monkeypatch.setattr("benchmark.export.parquet._GROUP_SIZE", 10)
    finished_runs.write_run(
        tmp_path / "run", "x/y", finished_runs.first_states(13), finished_runs.correct_answer
    )
    runs = read_runs([tmp_path / "run"], registry())
    rows = list(result_rows(runs, answered_states(runs)))
    write_results(tmp_path / "r.parquet", rows)
    assert parquet.ParquetFile(tmp_path / "r.parquet").num_row_groups == 10
    assert parquet.read_table(tmp_path / "r.parquet").to_pylist() == rows


def test_a_failure_keeps_the_old_file(tmp_path: Path) -> None:
    """An error while writing neither replaces the file nor leaves another one."""
    path = tmp_path / "r.parquet"
    path.write_text("before")
    with pytest.raises(ZeroDivisionError):
        write_results(path, ({"box": 1 // number} for number in (1, 0)))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        MissingLibraryError,
        match=r"pip install pyarrow \(it is in the extra \[export\]\)",
    ):
        write_results(tmp_path / "r.parquet", [])
    assert not list(tmp_path.iterdir())
