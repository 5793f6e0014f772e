"""Fetching by the real client of the hub, from a hub on the loopback interface."""

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from benchmark.errors import DoesNotFitError, ModelError, UnavailableModelError
from benchmark.models import hub_download
from benchmark.models.hub_download import HubModel, has_weights, list_weights
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import Location, fetch_missing_weights, locate
from benchmark.models.tokenizer_loading import load_tokenizer
from fakes import forked
from fakes.fake_hub import COMMIT, FakeHub, FakeRepository, point_client_at, running

TRACK = Path(__file__).parents[3] / "fixtures" / "models" / "track"
WEIGHTS = b"weights" * 1000
SHARDS = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors.index.json": (
        b'{"metadata": {}, "weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
    ),
    "model-1.safetensors": WEIGHTS,
    "model-2.safetensors": WEIGHTS + b"!",
    "consolidated.safetensors": b"another copy",
    "original/model.safetensors": b"another copy",
    "pytorch_model.bin": b"pickled",
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with one model, ``o/m``, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with running(FakeHub({"o/m": FakeRepository(SHARDS)})) as hub:
        point_client_at(hub, tmp_path / "hf", monkeypatch)
        yield hub


def test_configuration_comes_first(hub: FakeHub) -> None:
    """No byte of the weights is fetched before they are asked for, and then each file once."""
    location = locate("o/m", weights=False)
    assert location == Location("o/m", location.folder, None, f"commit:{COMMIT}")
    names = {path.name for path in location.folder.iterdir()}
    assert names == {"config.json", "tokenizer.json", "model.safetensors.index.json"}
    assert hub.fetched("safetensors") == []
    said = list[str]()
    fetch_missing_weights(location, said.append)
    assert said == ["fetching o/m: 0.0 GB in 2 files"]
    assert [path.name for path in location.weights] == [
        "model-1.safetensors",
        "model-2.safetensors",
    ]
    assert len(hub.fetched("safetensors")) == 2
    assert hub.fetched("bin") == []
    fetch_missing_weights(location)
    assert len(hub.fetched("safetensors")) == 2


def test_sizes_are_known_before_anything_is_fetched(hub: FakeHub) -> None:
    """The list has the files that are loaded, and what of them is here."""
    model = HubModel("o/m")
    files = list_weights(model)
    assert files.names == ("model-1.safetensors", "model-2.safetensors")
    assert files.total == files.missing == 2 * len(WEIGHTS) + 1
    locate("o/m")
    assert list_weights(model).missing == 0


@pytest.mark.parametrize(
    ("files", "names"),
    [
        ({"pytorch_model.bin": b"p", "model.gguf": b"g"}, ("pytorch_model.bin",)),
        ({"nemo/weights.bin": b"x", "model.nemo": b"n"}, "no weights but model.nemo, which cannot"),
        ({"readme.md": b"x"}, "has no weights; see https://huggingface.co/o/n"),
    ],
)
def test_what_is_loaded(
    hub: FakeHub, files: Mapping[str, bytes], names: tuple[str, ...] | str
) -> None:
    """Pickled weights are the second choice; those of other libraries are named, not fetched."""
    hub.repositories["o/n"] = FakeRepository({"config.json": b"{}", **files})
    if isinstance(names, str):
        with pytest.raises(ModelError, match=names):
            locate("o/n")
        assert hub.fetched("nemo") == []
    else:
        locate("o/n")
        assert list_weights(HubModel("o/n")).names == names


def test_a_gated_model_is_known_before_its_weights(hub: FakeHub) -> None:
    """The line says where its licence is accepted."""
    hub.repositories["o/g"] = FakeRepository(SHARDS, gated=True)
    with pytest.raises(UnavailableModelError, match="o/g: gated; accept its licence at"):
        locate("o/g", weights=False)
    assert hub.fetched("safetensors") == []


def test_a_full_disk_is_known_before_the_weights(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line has both sizes, the folder and another choice."""
    location = locate("o/m", weights=False)
    monkeypatch.setattr(hub_download, "free_space", lambda: (Path("/cache"), 2 * len(WEIGHTS)))
    with pytest.raises(DoesNotFitError, match=r"GB are free in /cache; free some, or set HF_HOME"):
        fetch_missing_weights(location)
    assert hub.fetched("safetensors") == []


def test_free_space_of_a_cache_that_does_not_exist_yet(hub: FakeHub) -> None:
    """It is that of the disk on which the folder will be made."""
    folder, free = hub_download.free_space()
    assert not folder.exists()
    assert free > 0


def test_a_broken_connection_is_taken_up_again(hub: FakeHub) -> None:
    """The client asks for the rest; the file is complete."""
    hub.breaking["model-1.safetensors"] = 1
    location = locate("o/m")
    assert (location.folder / "model-1.safetensors").read_bytes() == WEIGHTS
    assert len(hub.fetched("model-1.safetensors")) == 2


def test_two_that_want_one_model_share_the_download(hub: FakeHub) -> None:
    """The second waits for the first, and fetches nothing."""
    hub.waiting.add("model-1.safetensors")
    results = list[Location]()
    threads = [threading.Thread(target=lambda: results.append(locate("o/m"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert hub.reached.wait(30)
    hub.proceed.set()
    for thread in threads:
        thread.join(30)
    assert results[0] == results[1]
    assert len(hub.fetched("safetensors")) == 2


def test_a_killed_fetch_is_finished_by_the_next(hub: FakeHub, tmp_path: Path) -> None:
    """Complete files are kept, and its lock goes with the process."""
    location = locate("o/m", weights=False)
    hub.waiting.add("model-2.safetensors")
    with forked.Process(lambda: fetch_missing_weights(location), tmp_path / "one") as process:
        assert hub.reached.wait(30)
        while not (location.folder / "model-1.safetensors").exists():
            assert process.poll() is None
    hub.waiting.clear()
    hub.requests.clear()
    assert not has_weights(location.folder, None)
    fetch_missing_weights(location)
    assert has_weights(location.folder, None)
    assert hub.fetched("model-1.safetensors") == []


def test_everything_works_offline_afterwards(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fetched model is located, loaded and tokenized without a request."""
    files = {path.name: path.read_bytes() for path in TRACK.iterdir() if path.is_file()}
    hub.repositories["o/track"] = FakeRepository(files)
    locate("o/track")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    location = locate("o/track")
    load_tokenizer(location)
    load_model(location, LoadOptions("cpu", "float32"))
    assert hub.requests == []
    with pytest.raises(UnavailableModelError, match=r"o/m: .*not in the local cache"):
        locate("o/m")


def test_offline_without_the_weights(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of which only the configuration is here is unavailable."""
    location = locate("o/m", weights=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnavailableModelError, match="not in the local cache"):
        fetch_missing_weights(location)


def test_one_file_of_a_repository(hub: FakeHub) -> None:
    """Of a repository with many GGUF files only the one that is named."""
    files = {"config.json": b"{}", "a.gguf": b"GGUF-a", "b.gguf": b"GGUF-b"}
    hub.repositories["o/q"] = FakeRepository(files)
    location = locate("o/q/b.gguf")
    assert (location.name, location.gguf) == ("o/q/b.gguf", "b.gguf")
    assert not (location.folder / "a.gguf").exists()
    # Its tokenizer is in it, so that it is there before a tokenizer is loaded.
    location = locate("o/q/a.gguf", weights=False)
    assert (location.folder / "a.gguf").read_bytes() == b"GGUF-a"
    with pytest.raises(ModelError, match=r"the repository has no c\.gguf"):
        locate("o/q/c.gguf")


def test_the_real_client_is_used() -> None:
    """The tests above are of huggingface_hub itself."""
    assert huggingface_hub.snapshot_download.__module__ == "huggingface_hub._snapshot_download"
