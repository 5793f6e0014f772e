"""Files that verbs write after long work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.writing import (
    Output,
    check_distinct_files,
    check_writable,
    save_fingerprint,
    write_late,
)
from benchmark.errors import SettingError
from fakes.fake_fingerprints import fake_fingerprint


@pytest.mark.parametrize(
    "write",
    [
        lambda path: Output(json_file=path).result({}),
        lambda path: write_late(path, ["x"]),
        lambda path: save_fingerprint(fake_fingerprint(), path, Output()),
    ],
    ids=["json", "text", "fingerprint"],
)
def test_a_folder_that_is_lost_is_not_made_again(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    """The folder is made before the work; if it is moved meanwhile, that is an error."""
    path = tmp_path / "out" / "file.json"
    check_writable(path)
    write(path)
    assert path.exists()
    path.parent.rename(tmp_path / "moved")
    with pytest.raises(SettingError, match=r"file\.json: its folder was moved or removed"):
        write(path)
    assert not path.parent.exists()


def test_a_second_name_of_an_input_is_the_same_file(tmp_path: Path) -> None:
    """A hard link, or another spelling on a file system that ignores case; a new file is not."""
    data, other = tmp_path / "data", tmp_path / "other"
    data.write_text("x")
    check_distinct_files([("--data", data), ("--report", other)])
    other.hardlink_to(data)
    with pytest.raises(SettingError, match="--data is the same file"):
        check_distinct_files([("--data", data), ("--report", other)])
