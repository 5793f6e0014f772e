"""Files that verbs write after long work."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.writing import Output, check_writable, save_fingerprint, write_late
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
