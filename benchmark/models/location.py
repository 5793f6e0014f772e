"""Where a model's files are: a folder on this machine, or a repository of the hub.

Weights are taken in safetensors or GGUF, pickled ones where there is nothing else, and no code
from a repository is ever run.
"""

import errno
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import ModelError, UnavailableModelError
from benchmark.models.registry import registry

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?")
_SETTINGS = ("*.json", "*.jinja", "*.txt", "tokenizer.model")
_WANTED = ["*.safetensors", *_SETTINGS]
_PICKLED = "pytorch_model*.bin"
"""Weights of older repositories. They are read as tensors only, which runs no code of theirs."""

_UNWANTED = ["*/*", "consolidated*"]  # second copies of the weights, in their authors' format
_BLOCK = 65_536
_BLOCKS = 64


@dataclass(frozen=True, slots=True)
class Location:
    """A model's files: the folder, the GGUF file where it is one, and what pins them.

    ``fingerprint`` is the hub's commit, or a digest of a local folder's weights, configuration
    and tokenizer.
    """

    name: str
    folder: Path
    gguf: str | None
    digest: str

    @property
    def safetensors(self) -> bool | None:
        """Whether the weights are safetensors; None for GGUF."""
        return None if self.gguf else any(self.folder.glob("*.safetensors"))


def locate(model: str, revision: str | None = None) -> Location:
    """The files of a local folder, a GGUF file or a hub identifier, fetched where need be.

    A GGUF file of a repository is named ``owner/name/file.gguf``. Without a revision it is the one
    that the registry pins, else the newest.

    Raises:
        ModelError: when there is no such model, it is gated, or the hub cannot be reached;
            the message says what to do.
    """
    if not model:
        raise ModelError("--model is empty; give a folder, a GGUF file or an identifier")
    path = _expanded(model)
    if revision is not None and path.exists():
        raise ModelError(f"{model}: --revision is for models of the hub, and this is a local one")
    try:
        if path.is_file() and path.suffix == ".gguf":
            return _local(model, path.parent, path.name)
        if path.is_dir():
            return _local(model, path, _gguf(path))
        if path.exists():
            raise ModelError(f"{model}: a file, and not GGUF; give a model's folder or GGUF file")
    except OSError as error:  # a name too long for a file, a folder that may not be read
        if error.errno != errno.ENAMETOOLONG:
            raise ModelError(f"{model}: {error.strerror}") from error
    repository, gguf = _repository(model)
    if not _HUB_ID.fullmatch(repository) or repository.endswith(".gguf"):
        raise ModelError(
            f"{model}: no such folder or GGUF file here, and not a Hugging Face identifier"
        )
    return _fetch(repository, gguf, revision or _pinned(repository))


def is_local(model: str) -> bool:
    """Return whether the name is of a folder or file here, not an identifier of the hub."""
    try:
        return _expanded(model).exists()
    except OSError:  # a name too long for a file, a folder that may not be read
        return False


def parts(location: Location) -> dict[str, str]:
    """Digests of the weights' files, the tokenizer's, and the configuration's, apart.

    A GGUF file has all three in itself, and is one part.
    """
    if location.gguf:
        return {"weights": _fingerprint([location.folder / location.gguf])}
    patterns = {
        "weights": ("*.safetensors", _PICKLED),
        "tokenizer": ("*token*", "vocab*", "merges*", "chat_template*"),
        "settings": ("*config.json",),
    }
    found = {
        part: sorted({path for pattern in each for path in location.folder.glob(pattern)})
        for part, each in patterns.items()
    }
    found["settings"] = [path for path in found["settings"] if path not in found["tokenizer"]]
    return {part: _fingerprint(paths) for part, paths in found.items() if paths}


def _repository(model: str) -> tuple[str, str | None]:
    """The repository of the hub, and the file in it that ``owner/name/file.gguf`` names."""
    owner, _, rest = model.partition("/")
    name, _, file = rest.partition("/")
    return (f"{owner}/{name}", file) if file.endswith(".gguf") else (model, None)


def _pinned(repository: str) -> str | None:
    """The commit that the benchmark's own registry pins the repository to."""
    model = registry().by_huggingface_id(repository)
    return (model.revision or None) if model else None


def _expanded(model: str) -> Path:
    try:
        return Path(model).expanduser()
    except RuntimeError:  # ~name, where nobody is called that
        return Path(model)


def _local(model: str, folder: Path, gguf: str | None) -> Location:
    weights = [folder / gguf] if gguf else sorted(folder.glob("*.safetensors"))
    weights = weights or sorted(folder.glob(_PICKLED))
    if not weights:
        raise ModelError(f"{model}: no weights in this folder: no safetensors, GGUF or {_PICKLED}")
    # A GGUF file has configuration and tokenizer in itself, but files beside it come first.
    others = (path for pattern in _SETTINGS for path in folder.glob(pattern))
    return Location(model, folder, gguf, _fingerprint([*weights, *sorted(others)]))


def _gguf(folder: Path) -> str | None:
    if any(folder.glob("*.safetensors")):
        return None
    names = sorted(path.name for path in folder.glob("*.gguf"))
    if len(names) > 1:
        raise ModelError(f"{folder}: {len(names)} GGUF files; name one: {folder / names[0]}")
    return names[0] if names else None


def _fingerprint(files: list[Path]) -> str:
    """A digest of names, sizes and 64 blocks of 64 KiB spread over each file.

    All of a large model would take minutes to read; no training leaves 64 blocks as they were,
    and the files of configuration and tokenizer are small enough to be read almost whole.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            for block in range(_BLOCKS):
                file.seek(size * block // _BLOCKS)
                digest.update(file.read(_BLOCK))
    return f"sha256:{digest.hexdigest()[:16]}"


def _fetch(model: str, gguf: str | None, revision: str | None) -> Location:
    import httpx2
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    page, asked = f"https://huggingface.co/{model}", f"{model}/{gguf}" if gguf else model
    wanted, unwanted = ([gguf, *_SETTINGS], None) if gguf else (_WANTED, _UNWANTED)
    try:
        path = snapshot_download(
            model, revision=revision, allow_patterns=wanted, ignore_patterns=unwanted
        )
        if not gguf and not any(Path(path).glob("*.safetensors")):
            path = snapshot_download(
                model, revision=revision, allow_patterns=[_PICKLED, *_SETTINGS]
            )
    except hub.GatedRepoError as error:  # a RepositoryNotFoundError too, so it comes first
        raise UnavailableModelError(
            f"{model}: gated; accept its licence at {page}, then set HF_TOKEN to your token"
        ) from error
    except hub.RevisionNotFoundError as error:
        raise ModelError(f"{model}: no revision {revision!r}; see {page}/commits") from error
    except hub.RepositoryNotFoundError as error:
        raise UnavailableModelError(
            f"{asked}: no such file or folder here, and not on the hub, or private there; check "
            f"the name at {page}, or set HF_TOKEN"
        ) from error
    except hub.HFValidationError as error:
        raise ModelError(f"{model}: not a Hugging Face identifier: {error}") from error
    except (
        hub.LocalEntryNotFoundError,
        hub.OfflineModeIsEnabled,
        hub.HfHubHTTPError,
        ConnectionError,
        httpx2.HTTPError,
    ) as error:
        raise UnavailableModelError(
            f"{asked}: no such file or folder here, not in the local cache, and the hub cannot be "
            "reached; connect, unset HF_HUB_OFFLINE, or give the folder of a copy with --model"
        ) from error
    except OSError as error:
        raise ModelError(f"{model}: cannot be fetched: {error.strerror or error}") from error
    folder = Path(path)
    patterns = [gguf] if gguf else ["*.safetensors", _PICKLED]
    if not any(path for pattern in patterns for path in folder.glob(pattern)):
        raise ModelError(
            f"{model}: the repository has no {gguf or 'weights'}; see {page}, and name "
            f"a GGUF file that it has as {model}/FILE.gguf"
        )
    return Location(f"{model}/{gguf}" if gguf else model, folder, gguf, f"commit:{folder.name}")
