"""The short name of a model."""

from pathlib import Path

import pytest

from benchmark.models.short_name import last_part, short_name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("owner/model", "model"),
        ("a/model.gguf", "model.gguf"),
        ("a/model/", "model"),
        (".", "inner"),
        ("./", "inner"),
        ("..", "outer"),
        ("../inner/..", "outer"),
        ("/", "/"),
    ],
)
def test_short_names(
    model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never empty."""
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "outer" / "inner")
    assert short_name(model) == name
    assert last_part(model) in {name, ""}
