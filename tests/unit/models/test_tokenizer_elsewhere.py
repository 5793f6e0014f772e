"""A model without a tokenizer takes that of the repository that the registry names."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.errors import ModelError
from benchmark.models.location import file_digests, locate
from benchmark.models.registry import read_registry, registry
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.measure import prepare
from benchmark.runs.requests import DataRequest, Quiet, RunRequest, as_registered
from fakes.fake_hub import FakeHub, FakeRepository, point_client_at, running

MODELS = Path(__file__).parents[3] / "fixtures" / "models"
TRACK = MODELS / "track"
TEXT = "Statement: Box 0 contains the bag"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the model ``track`` without its tokenizer, which is in the folder ``words``."""
    for path in TRACK.iterdir():
        folder = tmp_path / ("words" if "token" in path.name else "bare")
        folder.mkdir(exist_ok=True)
        shutil.copy(path, folder)
    return tmp_path / "bare"


def test_a_named_folder_has_the_tokenizer(bare: Path) -> None:
    """It is loaded from there, with its settings, and the model's digest covers it."""
    words = bare.with_name("words")
    location = locate(str(bare), tokenizer=str(words))
    assert location.tokenizer_folder == words
    own, tokenizer = load_tokenizer(locate(str(TRACK))), load_tokenizer(location)
    assert tokenizer.encode(TEXT) == own.encode(TEXT)
    assert (tokenizer.bos, tokenizer.bos_id, tokenizer.eos_id) == (own.bos, own.bos_id, own.eos_id)
    assert location.digest.startswith(locate(str(bare)).digest)
    assert file_digests(location)["tokenizer"] == file_digests(locate(str(TRACK)))["tokenizer"]
    config = words / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "add_bos_token": False}))
    changed = locate(str(bare), tokenizer=str(words))
    assert changed.digest != location.digest
    assert not load_tokenizer(changed).bos.added


def test_the_models_own_tokenizer_comes_first(bare: Path) -> None:
    """Another one is loaded only if it has none; settings alone are none."""
    words = bare.with_name("words")
    shutil.copy(TRACK / "tokenizer_config.json", bare)
    assert locate(str(bare), tokenizer=str(words)).tokenizer == words
    shutil.copy(TRACK / "tokenizer.json", bare)
    location = locate(str(bare), tokenizer=str(words))
    assert location == locate(str(bare))
    assert location.tokenizer_folder == bare


def test_no_tokenizer_is_one_line(bare: Path) -> None:
    """It says what to do; so does one that is not where it should be."""
    with pytest.raises(ModelError, match=r"bare: has no tokenizer, such as tokenizer\.json; add"):
        load_tokenizer(locate(str(bare)))
    with pytest.raises(
        ModelError, match=r"bare: its tokenizer should be in .*bare, which has none"
    ):
        locate(str(bare), tokenizer=str(bare))
    (bare.with_name("words") / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"words/tokenizer\.json"):
        load_tokenizer(locate(str(bare), tokenizer=str(bare.with_name("words"))))


def test_a_users_registry_names_it(bare: Path) -> None:
    """Relative to the file; the prompts are those of the complete model."""
    own = bare.with_name("own.toml")
    text = (MODELS / "registry.toml").read_text(encoding="utf-8")
    tables = text.replace('"./track"', '"./bare"\ntokenizer = "./words"')
    own.write_text(tables.replace('"./copy', f'"{MODELS}/copy'))
    model = read_registry(own).model("track")
    assert Path(model.tokenizer) == bare.with_name("words").resolve()
    request = RunRequest(str(TRACK), bare, DataRequest(states=2), device="cpu")
    expected = prepare(request, Quiet())
    prepared = prepare(as_registered(model, request), Quiet())
    assert prepared.location.tokenizer == bare.with_name("words").resolve()
    assert prepared.questions.prompt_ids == expected.questions.prompt_ids
    identities = [run.identity["model"] for run in (prepared, expected)]
    assert identities[0] != identities[1]


@pytest.fixture
def hub(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A hub with the repositories of FLoat and of its base, as far as their files go."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    files = {path.name: path.read_bytes() for path in bare.iterdir()}
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    words = {path.name: path.read_bytes() for path in bare.with_name("words").iterdir()}
    repositories = {
        "nikhil07prakash/float-7b": FakeRepository(files),
        "huggyllama/llama-7b": FakeRepository({**words, "model.safetensors": b"its weights"}),
    }
    with running(FakeHub(repositories)) as hub:
        point_client_at(hub, tmp_path / "hf", monkeypatch)
        yield hub


def test_float_has_the_tokenizer_of_llama(hub: FakeHub) -> None:
    """Of its base nothing but configuration and tokenizer is fetched."""
    elsewhere = {m.huggingface_id: m.tokenizer for m in registry().models.values() if m.tokenizer}
    assert elsewhere == {"nikhil07prakash/float-7b": "huggyllama/llama-7b"}
    model = registry().model("float-7b")
    request = as_registered(model, RunRequest("", Path("out"), DataRequest(states=1), device="cpu"))
    prepared = prepare(request, Quiet())
    assert "huggyllama--llama-7b" in str(prepared.location.tokenizer)
    assert prepared.questions.tokenizer.encode(TEXT)
    assert prepared.location == locate(model.huggingface_id, weights=False)
    assert hub.fetched("model.safetensors") == hub.fetched("pytorch_model.bin") == []
    del hub.repositories["huggyllama/llama-7b"]
    shutil.rmtree(prepared.location.tokenizer_folder.parents[1])
    with pytest.raises(
        ModelError, match=r"float-7b: its tokenizer: huggyllama/llama-7b: .*missing"
    ):
        locate(model.huggingface_id, weights=False)
