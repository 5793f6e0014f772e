"""The command ``prefetch`` with the real client of the hub and a hub on the loopback interface."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from benchmark.cli.app import app
from benchmark.errors import DoesNotFitError, ModelError, SettingError, UnavailableModelError
from benchmark.models import hub_download
from benchmark.models.location import locate
from fakes.control_gguf import write_control_gguf
from fakes.fake_hub import FakeHub, FakeRepository, point_client_at, running

MODELS = Path(__file__).parents[2] / "fixtures" / "models"
Prefetch = Callable[..., str]


def _files(folder: str) -> dict[str, bytes]:
    paths = (MODELS / folder).iterdir()
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Two controls, a gated model, and one without a tokenizer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    track = _files("track")
    bare = {name: text for name, text in track.items() if "token" not in name}
    repositories = {
        "o/track": FakeRepository(track),
        "o/copy": FakeRepository(_files("copy-a")),
        "o/gated": FakeRepository(track, gated=True),
        "o/bare": FakeRepository(bare),
    }
    with running(FakeHub(repositories)) as hub:
        point_client_at(hub, tmp_path / "hf", monkeypatch)
        yield hub


@pytest.fixture
def prefetch(capsys: pytest.CaptureFixture[str]) -> Prefetch:
    """``prefetch(...)``: the output of the command."""

    def run(*arguments: str) -> str:
        app(["prefetch", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The registry of a pair of the two controls on the hub."""
    path = tmp_path / "own.toml"
    text = (MODELS / "registry.toml").read_text(encoding="utf-8")
    path.write_text(text.replace("./track", "o/track").replace("./copy-a", "o/copy"))
    return str(path)


def test_a_fetched_model_needs_no_network(
    hub: FakeHub, prefetch: Prefetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes, free disk and time come first; a second call fetches nothing, also offline."""
    (model,) = json.loads(prefetch("o/track", "--json"))["models"]
    assert model["bytes"] == model["fetched_bytes"] > 100_000
    assert len(hub.fetched("safetensors")) == 1
    text = " ".join(prefetch("o/track").split())
    assert "To fetch: 0.0 GB;" in text
    assert "GB are free in" in text
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (again,) = json.loads(prefetch("o/track", "--json"))["models"]
    assert (again["bytes"], again["fetched_bytes"]) == (model["bytes"], 0)
    assert Path(again["folder"]) == locate("o/track").folder
    assert hub.requests == []


def test_a_dry_run_fetches_no_weights(hub: FakeHub, prefetch: Prefetch) -> None:
    """It prints the sizes only."""
    prefetch("o/track", "--dry-run")
    assert hub.fetched("safetensors") == []


def test_a_gguf_file_is_not_fetched_to_look_at_it(
    hub: FakeHub, prefetch: Prefetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size, and whether disk and GPUs hold it, are known before its first byte."""
    path = write_control_gguf(MODELS / "track", tmp_path / "track.gguf", quantized=False)
    hub.repositories["o/g"] = FakeRepository({"track.gguf": path.read_bytes()})
    name = "o/g/track.gguf"
    (model,) = json.loads(prefetch(name, "--dry-run", "--json"))["models"]
    size = path.stat().st_size
    assert (model["bytes"], model["fetched_bytes"], model["reason"]) == (size, size, None)
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.runs.prefetch.element_bytes", lambda _: 10_000)
        with pytest.raises(UnavailableModelError, match="does not fit on 1 GPU of 1 GB"):
            prefetch(name, "--gpus", "1", "--vram", "1")
        patch.setattr("benchmark.runs.prefetch.free_space", lambda: (Path("/cache"), size - 1))
        with pytest.raises(DoesNotFitError, match="GB are free in /cache"):
            prefetch(name)
    assert hub.fetched("gguf") == []
    prefetch(name)
    assert len(hub.fetched("gguf")) == 1
    (model,) = json.loads(prefetch(name, "--json"))["models"]
    assert (model["bytes"], model["fetched_bytes"]) == (size, 0)
    # Once it is here, its memory is known as of any model.
    with pytest.raises(UnavailableModelError, match="does not fit on 1 GPU of 1 GB"):
        prefetch(name, "--gpus", "1", "--vram", "1")


def test_a_fetched_gguf_file_is_looked_at(hub: FakeHub, prefetch: Prefetch) -> None:
    """What is wrong with it is an error once it is here."""
    hub.repositories["o/g"] = FakeRepository({"m.gguf": b"not one"})
    with pytest.raises(UnavailableModelError, match="1 of 1 models are not fetched: o/g/m"):
        prefetch("o/g/m.gguf")
    assert len(hub.fetched("gguf")) == 1


def test_others_are_fetched_and_the_exit_tells(
    hub: FakeHub, prefetch: Prefetch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be fetched is known before anything large, and is an error in the end."""
    models = ("o/gated", "o/bare", "o/copy", "o/missing")
    with pytest.raises(UnavailableModelError, match="3 of 4 models are not fetched: o/gated, o/ba"):
        prefetch(*models)
    text = " ".join(capsys.readouterr().out.split())
    for reason in ("gated; accept its licence", "has no tokenizer", "missing or private"):
        assert reason in text
    assert [path.split("/")[2] for path in hub.fetched("safetensors")] == ["copy"]
    app(["prefetch", *models, "--optional"], standalone_mode=False)
    assert "not fetched: o/gated: gated" in capsys.readouterr().err


def test_a_model_too_large_for_the_gpus_is_left_out(hub: FakeHub, prefetch: Prefetch) -> None:
    """Its memory is compared with that of the GPUs before its weights are fetched."""
    with pytest.raises(UnavailableModelError, match="does not fit on 2 GPUs of 1 GB"):
        prefetch("o/track", "--gpus", "2", "--vram", "1")
    assert hub.fetched("safetensors") == []
    prefetch("o/track", "--vram", "24")
    assert len(hub.fetched("safetensors")) == 1


def test_a_disk_too_small_for_all_of_them(
    hub: FakeHub, prefetch: Prefetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is fetched if the disk has no room for the sum."""
    monkeypatch.setattr(hub_download, "free_space", lambda: (Path("/cache"), 4_000_000))
    monkeypatch.setattr("benchmark.runs.prefetch.free_space", hub_download.free_space)
    sizes = [
        len(hub.repositories[name].files["model.safetensors"]) for name in ("o/track", "o/copy")
    ]
    assert max(sizes) < 4_000_000 < sum(sizes)
    with pytest.raises(DoesNotFitError, match="GB are free in /cache; name fewer models"):
        prefetch("o/track", "o/copy")
    assert hub.fetched("safetensors") == []


@pytest.mark.parametrize("arguments", [("--all",), ("--experiment", "control")])
def test_models_of_a_registry(
    hub: FakeHub, prefetch: Prefetch, own: str, arguments: tuple[str, ...]
) -> None:
    """All models, or those of an experiment's pairs; local folders need no fetching."""
    document = json.loads(prefetch(*arguments, "--registry", own, "--json", "--optional"))
    by_id = {model["huggingface_id"]: model for model in document["models"]}
    assert {"o/track", "o/copy"} <= by_id.keys()
    assert len(hub.fetched("model.safetensors")) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--model", "o/bare", "--states", "1", "--device", "cpu", "--out", "{}/run"),
        ("fingerprint", "o/bare", "--states", "1", "--device", "cpu", "--out", "{}/one.json"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_tokenizer_comes_before_the_weights(
    hub: FakeHub, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """A tokenizer that cannot be loaded is known before the weights are fetched."""
    words = [word.format(tmp_path) for word in arguments]
    with pytest.raises(ModelError, match="o/bare: has no tokenizer"):
        app(words, standalone_mode=False)
    assert hub.fetched("safetensors") == []


def test_a_run_fetches_its_model(hub: FakeHub, tmp_path: Path) -> None:
    """Without ``prefetch`` the weights are fetched when they are loaded."""
    words = ["run", "--model", "o/track", "--states", "1", "--device", "cpu", "-q", "--out"]
    app([*words, str(tmp_path / "run")], standalone_mode=False)
    assert len(hub.fetched("safetensors")) == 1
    assert (tmp_path / "run" / "result.json").exists()


def test_nothing_named(prefetch: Prefetch) -> None:
    """Without models the line says how to name them."""
    with pytest.raises(SettingError, match="name models, or use --experiment or --all"):
        prefetch()
