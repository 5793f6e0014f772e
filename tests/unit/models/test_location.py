"""Where a model's files are found, their digests, and the errors if they are missing."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import huggingface_hub
import pytest
from huggingface_hub import errors as hub
from huggingface_hub.utils._paths import filter_repo_objects
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.errors import ModelError
from benchmark.models.location import Location, file_digests, locate
from benchmark.models.registry import registry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 33 << 20
"""The size of a file with several blocks."""


def _write(folder: Path, **files: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def test_folder_of_safetensors(tmp_path: Path) -> None:
    """A folder with safetensors is a model, under the name that was given."""
    folder = _write(tmp_path / "model", model__safetensors=b"weights", config__json=b"{}")
    location = locate(str(folder))
    assert location == Location(str(folder), folder, None, location.digest)


def test_safetensors_come_before_gguf(tmp_path: Path) -> None:
    """If a folder has safetensors and a GGUF file, the safetensors are the model."""
    folder = _write(tmp_path, model__safetensors=b"weights", a__gguf=b"a", b__gguf=b"b")
    assert locate(str(folder)).gguf is None


def test_folder_with_one_gguf(tmp_path: Path) -> None:
    """The only GGUF file of a folder is the model, if the folder or the file is given."""
    folder = _write(tmp_path / "model", a__gguf=b"weights")
    by_folder, by_file = locate(str(folder)), locate(str(folder / "a.gguf"))
    assert (by_folder.folder, by_folder.gguf) == (folder, "a.gguf")
    assert (by_file.folder, by_file.gguf) == (folder, "a.gguf")
    assert by_folder.digest == by_file.digest


def test_folder_with_two_ggufs(tmp_path: Path) -> None:
    """With two GGUF files the user must name one; the message shows how."""
    folder = _write(tmp_path, a__gguf=b"a", b__gguf=b"b")
    assert _refusal(str(folder)) == f"{folder}: 2 GGUF files; name one: {folder / 'a.gguf'}"
    first, second = locate(str(folder / "a.gguf")), locate(str(folder / "b.gguf"))
    assert (first.gguf, second.gguf) == ("a.gguf", "b.gguf")
    assert first.digest != second.digest


@pytest.mark.parametrize("files", [{}, {"config__json": b"{}"}])
def test_folder_without_weights(tmp_path: Path, files: dict[str, bytes]) -> None:
    """A folder without weights of any kind is refused."""
    folder = _write(tmp_path, **files)
    assert _refusal(str(folder)).startswith(f"{folder}: no weights in this folder")


def test_pickled_weights_where_there_is_nothing_else(tmp_path: Path) -> None:
    """Pickled weights are used and digested, but not if the folder has safetensors."""
    folder = _write(tmp_path, pytorch_model__bin=b"weights")
    pickled = locate(str(folder))
    assert pickled.safetensors is False
    _write(tmp_path, pytorch_model__bin=b"others!")
    assert locate(str(folder)).digest != pickled.digest
    _write(tmp_path, model__safetensors=b"weights")
    assert locate(str(folder)).safetensors is True


def test_pickled_weights_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pickled weights are downloaded only from a repository without safetensors."""
    folder, requested = _write(tmp_path / COMMIT, config__json=b"{}"), list[object]()

    def download(*_: object, **options: object) -> object:
        if options.get("dry_run"):
            return [SimpleNamespace(filename="pytorch_model.bin", file_size=7, is_cached=False)]
        requested.append(options["allow_patterns"])
        if "pytorch_model.bin" in str(requested[-1]):
            _write(folder, pytorch_model__bin=b"weights")
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("owner/name").safetensors is False
    assert ["pytorch_model.bin" in str(patterns) for patterns in requested] == [False, True]


def test_a_folder_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leading tilde is the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    _write(tmp_path / "model", model__safetensors=b"weights")
    assert locate("~/model").folder == tmp_path / "model"


@pytest.mark.parametrize(
    "model",
    [
        "./nowhere",
        "/nowhere/at/all",
        "one/two/three",
        "missing.gguf",
        "owner/missing.gguf",
        "owner/na me",
        "~no-such-user/model",
    ],
)
def test_not_a_path_and_not_an_identifier(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is neither local nor an identifier is refused without asking the hub."""
    monkeypatch.setattr(huggingface_hub, "snapshot_download", _unexpected)
    assert _refusal(model).startswith(f"{model}: no such local folder or GGUF file")


def test_a_folder_that_is_not_utf8(tmp_path: Path) -> None:
    """The libraries would name no reason; a GGUF file is read anywhere."""
    folder = tmp_path / os.fsdecode(b"m\xff")
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="no path that is not UTF-8; rename the folder"):
        locate(str(folder))
    (folder / "m.gguf").write_bytes(b"GGUF")
    assert locate(str(folder / "m.gguf")).gguf == "m.gguf"


def test_a_name_too_long_for_a_file() -> None:
    """A name that is too long for a file is refused like an invalid identifier."""
    model = 300 * "x"
    assert _refusal(model).startswith(f"{model}: not a Hugging Face identifier")


def _unexpected(*_: object, **__: object) -> str:
    pytest.fail("the hub was asked")


# The fingerprint of local weights


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(place=st.integers(0, 4095), size=st.integers(1, 4096), data=st.data())
def test_fingerprint_reads_all_of_small_files(
    tmp_path: Path, place: int, size: int, data: st.DataObject
) -> None:
    """Any changed byte of a small file changes the digest."""
    content = bytearray(data.draw(st.binary(min_size=size, max_size=size)))
    folder = _write(tmp_path, model__safetensors=bytes(content))
    before = locate(str(folder)).digest
    content[place % size] ^= 1
    _write(folder, model__safetensors=bytes(content))
    assert locate(str(folder)).digest != before


@pytest.mark.parametrize("place", [0, 1, 99_991, 16 << 20, (16 << 20) + 70_001, LARGE - 1])
def test_fingerprint_reads_all_of_large_files(tmp_path: Path, place: int) -> None:
    """One changed byte anywhere in a large file changes the digest."""
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(LARGE)
    before = locate(str(tmp_path)).digest
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\1")
    assert locate(str(tmp_path)).digest != before


def test_fingerprint_reads_every_shard(tmp_path: Path) -> None:
    """Each file of the weights, its name and its size are part of the digest."""
    parts = {f"model-{n}-of-3__safetensors": b"weights" for n in (1, 2, 3)}
    folder = _write(tmp_path, **parts)
    seen = {locate(str(folder)).digest}
    for name in parts:
        _write(folder, **{**parts, name: b"Weights"})
        seen.add(locate(str(folder)).digest)
    _write(folder, **parts)
    (folder / "model-3-of-3.safetensors").rename(folder / "model-4-of-3.safetensors")
    seen.add(locate(str(folder)).digest)
    (folder / "model-4-of-3.safetensors").write_bytes(b"weights\0")
    seen.add(locate(str(folder)).digest)
    assert len(seen) == 6


def test_fingerprint_is_of_content(tmp_path: Path) -> None:
    """A copy of the weights has the same digest, which names its algorithm."""
    first = locate(str(_write(tmp_path / "a", model__safetensors=b"weights")))
    second = locate(str(_write(tmp_path / "b", model__safetensors=b"weights")))
    assert first.digest == second.digest
    assert first.digest.startswith("sha256-tree:")


def test_digest_of_an_older_version_is_recognized(tmp_path: Path) -> None:
    """A recorded digest of sampled blocks is of the folder, as long as its samples are."""
    track = Path(__file__).parents[3] / "fixtures" / "models" / "track"
    folder = Path(shutil.copytree(track, tmp_path / "track"))
    location = locate(str(folder))
    assert location.has_digest("sha256:d81ddc0c628d36ab")  # recorded by version 0.1
    assert location.has_digest(location.digest)
    assert not location.has_digest("sha256:cee941b1060ab98c")
    (folder / "config.json").write_text("{}")
    changed = locate(str(folder))
    assert not changed.has_digest("sha256:d81ddc0c628d36ab")
    assert not changed.has_digest(location.digest)
    of_the_hub = Location("owner/name", folder, None, "commit:1")
    assert not of_the_hub.has_digest("sha256:d81ddc0c628d36ab")


def test_separate_digests(tmp_path: Path) -> None:
    """Weights, tokenizer and settings have digests; a GGUF file has those of files next to it."""
    folder = _write(tmp_path, a__gguf=b"weights")
    assert file_digests(locate(str(folder))).keys() == {"weights"}
    _write(folder, tokenizer__json=b"{}")
    before = file_digests(locate(str(folder)))
    assert before.keys() == {"weights", "tokenizer"}
    _write(folder, tokenizer__json=b"{ }", generation_config__json=b"{}")
    after = file_digests(locate(str(folder)))
    assert after.keys() == {"weights", "tokenizer", "settings"}
    assert after["weights"] == before["weights"]
    assert after["tokenizer"] != before["tokenizer"]


# The hub


def test_hub_model_is_pinned_to_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The given revision is downloaded, and its commit is the digest of the model."""
    folder = _write(tmp_path / COMMIT, model__safetensors=b"weights")
    requested: list[tuple[str, object]] = []

    def download(model: str, *, revision: object, **_: object) -> str:
        requested.append((model, revision))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    location = locate("owner/name", "v2")
    assert location == Location("owner/name", folder, None, f"commit:{COMMIT}")
    assert requested == [("owner/name", "v2")]


@pytest.mark.parametrize(("requested", "loaded"), [(None, COMMIT), ("v2", "v2")])
def test_the_registry_pins_a_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requested: str | None, loaded: str
) -> None:
    """A registered model is downloaded at its pinned commit, unless another is given."""
    models_registry = registry()
    model = models_registry.model("gemma-2b").model_copy(update={"revision": COMMIT})
    pinned = models_registry.model_copy(
        update={"models": {**models_registry.models, "gemma-2b": model}}
    )
    monkeypatch.setattr("benchmark.models.location.registry", lambda: pinned)
    folder = _write(tmp_path / COMMIT, model__safetensors=b"weights")
    revisions: list[object] = []

    def download(_: str, *, revision: object, **__: object) -> str:
        revisions.append(revision)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    locate("google/gemma-2b", requested)
    locate("google/codegemma-2b")
    assert revisions == [loaded, None]


def test_what_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Safetensors, configuration and tokenizer are downloaded, but no code and no pickle."""
    expected = [
        "config.json",
        "generation_config.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "chat_template.jinja",
        "merges.txt",
    ]
    unwanted = ["modeling.py", "pytorch_model.bin", "model.gguf", "weights.pt", "training.pkl"]
    fetched: list[str] = []

    def download(_: str, *, revision: object, dry_run: bool = False, **patterns: Any) -> object:  # noqa: ANN401
        names = list(filter_repo_objects([*expected, *unwanted], **patterns))
        if dry_run:
            return [SimpleNamespace(filename=n, file_size=1, is_cached=False) for n in names]
        fetched.extend(names)
        return str(_write(tmp_path / COMMIT, config__json=b"{}"))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    locate("owner/name")
    assert sorted(fetched) == sorted(expected)
    assert fetched[-1] == "model-00001-of-00002.safetensors"


def test_hub_model_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository without weights is refused, and the message names its page."""
    folder = _write(tmp_path / COMMIT, config__json=b"{}")
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *_, **options: [] if options.get("dry_run") else str(folder),
    )
    message = _refusal("owner/name")
    assert message.startswith("owner/name: ")
    assert "has no weights" in message
    assert "https://huggingface.co/owner/name" in message


def test_a_gguf_file_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``owner/name/file.gguf`` downloads that file and the configuration next to it."""
    folder = _write(tmp_path / COMMIT, tiny__gguf=b"weights")
    requested: list[object] = []

    def download(repository: str, **options: object) -> object:
        if options.get("dry_run"):
            return []
        requested.extend([repository, options["allow_patterns"]])
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    result = locate("owner/name/tiny.gguf")
    assert requested[0] == "owner/name"
    assert "*.json" in str(requested[1])  # the file itself is there already
    assert (result.name, result.gguf) == ("owner/name/tiny.gguf", "tiny.gguf")
    assert result.digest == f"commit:{COMMIT}"
    assert "has no other.gguf" in _refusal("owner/name/other.gguf")


def test_a_revision_of_a_local_folder_is_refused(tmp_path: Path) -> None:
    """A revision of a local folder is an error, not silently ignored."""
    folder = _write(tmp_path, model__safetensors=b"weights")
    assert "--revision is for models of the hub" in _refusal(str(folder), "main")


def _of_a_response(kind: Callable[..., Exception], status: int) -> Exception:
    """Return an error like those of the hub's client, with several lines and a response."""
    request = httpx2.Request("GET", "https://huggingface.co/api/models/owner/name")
    response = httpx2.Response(status, request=request)
    return kind(f"{status} Client Error.\n\nfor url: {request.url}.", response=response)


ERRORS: dict[str, tuple[Exception, tuple[str, ...]]] = {
    "gated": (
        _of_a_response(hub.GatedRepoError, 403),
        ("gated", "accept its licence at https://huggingface.co/owner/name", "HF_TOKEN"),
    ),
    "no repository": (
        _of_a_response(hub.RepositoryNotFoundError, 401),
        ("on the hub it is missing or private", "https://huggingface.co/owner/name", "HF_TOKEN"),
    ),
    "no revision": (
        _of_a_response(hub.RevisionNotFoundError, 404),
        ("no revision 'v2'", "https://huggingface.co/owner/name/commits"),
    ),
    "not cached": (
        hub.LocalEntryNotFoundError("Cannot find the files\nin the cache."),
        ("not in the local cache", "connect", "HF_HUB_OFFLINE", "name the folder"),
    ),
    "incomplete": (
        hub.IncompleteSnapshotError("Some files\nare missing.", "snapshots/1"),
        ("not in the local cache", "connect", "HF_HUB_OFFLINE", "name the folder"),
    ),
    "offline": (
        hub.OfflineModeIsEnabled("Cannot reach the hub:\noffline mode is enabled."),
        ("not in the local cache", "HF_HUB_OFFLINE", "name the folder"),
    ),
    "server error": (
        _of_a_response(hub.HfHubHTTPError, 503),
        ("the hub cannot be reached", "name the folder"),
    ),
    "not an identifier": (
        hub.HFValidationError("Repo id must use alphanumeric chars."),
        ("not a Hugging Face identifier", "Repo id must use alphanumeric chars."),
    ),
    "no connection": (
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        ("the hub cannot be reached", "connect", "name the folder"),
    ),
    "connection lost in a file": (
        httpx2.ReadTimeout("The read operation\ntimed out"),
        ("the hub cannot be reached", "connect", "name the folder"),
    ),
    "disk full": (
        OSError(errno.ENOSPC, "No space left on device"),
        ("No space left on device",),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_hub_errors(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each error of the hub becomes one line with the cause and the remedy."""
    error, parts = ERRORS[case]

    def download(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    message = _refusal("owner/name", "v2")
    assert message.startswith("owner/name: ")
    for part in parts:
        assert part in message


def _refusal(model: str, revision: str | None = None) -> str:
    """Return the error message of locating the model."""
    with pytest.raises(ModelError) as refused:
        locate(model, revision)
    message = str(refused.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "chat_template.jinja"])
def test_fingerprint_covers_configuration_and_tokenizer(tmp_path: Path, name: str) -> None:
    """The same weights with another configuration, tokenizer or template are another model."""
    folder = _write(tmp_path, model__safetensors=b"weights")
    (folder / name).write_text("{}")
    before = locate(str(folder)).digest
    (folder / name).write_text("{ }")
    assert locate(str(folder)).digest != before
