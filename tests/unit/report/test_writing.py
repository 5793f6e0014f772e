"""Writing a report."""

import sys
from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.report.data import ReportData
from benchmark.report.writing import write_report


def test_everything_is_written(
    published_report: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report has the page, three figures in three formats, and four tables in four."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "no date")  # they have none
    written = write_report(published_report, tmp_path / "out")
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in written)
    figures = [
        f"figures/figure-{n}.{extension}" for n in (1, 2, 3) for extension in ("pdf", "png", "svg")
    ]
    formats = ("csv", "html", "md", "tex")
    tables = [f"tables/table-{n}.{extension}" for n in (1, 3, 4, 6) for extension in formats]
    assert names == sorted([*figures, *tables, "index.html"])
    heads = {"pdf": b"%PDF", "png": b"\x89PNG", "svg": b"<?xml"}
    for path in written:
        content = path.read_bytes()
        assert content.startswith(heads.get(path.suffix[1:], b""))
        assert len(content) > 300


def test_a_backend_of_an_unknown_name_is_named(
    published_report: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the import of matplotlib, whose settings of the user are not read."""
    (tmp_path / "matplotlibrc").write_bytes(b"\xff")
    monkeypatch.setenv("MATPLOTLIBRC", str(tmp_path / "matplotlibrc"))
    monkeypatch.delitem(sys.modules, "matplotlib", raising=False)
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    with pytest.raises(SettingError, match=r"'nonsense' is not .* check the variable MPLBACKEND"):
        write_report(published_report, tmp_path / "out")
    assert not (tmp_path / "out").exists()
