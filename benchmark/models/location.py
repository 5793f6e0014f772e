"""Find a model's files: in a local folder, or in a repository of the hub.

Weights must be safetensors or GGUF; pickled ones are used only if a model has nothing else. Code
from a repository is never executed.
"""

import errno
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import DataError, ModelError
from benchmark.models.digests import FORMER_SCHEME, SCHEME, files_digest, former_digest
from benchmark.models.folder_checks import check_folder, check_no_pointer
from benchmark.models.hub_download import HubModel, fetch_configuration, fetch_weights
from benchmark.models.model_files import (
    PICKLED,
    SETTINGS,
    check_no_adapter,
    configuration_files,
    former_configuration_files,
    has_vocabulary,
    index_files,
    tokenizer_files,
    weight_files,
)
from benchmark.models.registry import registry

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.-]+)?")
_COMMIT = "commit:"
"""The prefix of digests of models of the hub."""


@dataclass(frozen=True, slots=True)
class Location:
    """A model's files: the folder, the name of the GGUF file if it is one, and a digest.

    ``digest`` is the hub's commit, or a digest of all bytes of a local folder's weights,
    configuration and tokenizer. ``tokenizer`` is the folder of another repository that has the
    tokenizer, None if it is with the model; its digest is then part of ``digest``.
    """

    name: str
    folder: Path
    gguf: str | None
    digest: str
    tokenizer: Path | None = None

    @property
    def tokenizer_folder(self) -> Path:
        """The folder with the tokenizer."""
        return self.tokenizer or self.folder

    @property
    def on_hub(self) -> bool:
        """Whether the files are those of a commit of the hub."""
        return self.digest.startswith(_COMMIT)

    @property
    def safetensors(self) -> bool | None:
        """Whether the weights are safetensors, None for GGUF."""
        if self.gguf:
            return None
        return all(path.suffix == ".safetensors" for path in weight_files(self.folder))

    @property
    def weights(self) -> list[Path]:
        """The files of the weights, sorted by name."""
        return [self.folder / self.gguf] if self.gguf else weight_files(self.folder)

    def has_digest(self, digest: str) -> bool:
        """Return whether a recorded digest, also one of an older version, is of these files."""
        if digest.startswith(FORMER_SCHEME) and self.digest.startswith(SCHEME):
            return (
                former_digest([*self.weights, *former_configuration_files(self.folder)]) == digest
            )
        return digest == self.digest


def locate(
    model: str, revision: str | None = None, *, weights: bool = True, tokenizer: str = ""
) -> Location:
    """Return the location of a local folder, a GGUF file or a hub model, downloading if necessary.

    A GGUF file of a repository is named ``owner/name/file.gguf``. Without a revision, the one that
    the registry pins is used, else the newest. Without ``weights``, those of a hub model are
    fetched later, by :func:`fetch_missing_weights`, except a GGUF file: it has the tokenizer too.
    ``tokenizer`` names the folder or repository of the tokenizer for a model without one; by
    default it is the registry's.

    Raises:
        ModelError: if the model does not exist, is gated, or the hub cannot be reached. The
            message says what to do.
    """
    location = _located(model, revision)
    if weights or location.gguf:
        fetch_missing_weights(location)
    if not tokenizer and location.on_hub and (entry := registry().by_huggingface_id(model)):
        tokenizer = entry.tokenizer
    return _with_tokenizer(location, tokenizer)


def locate_without_weights(model: str, revision: str | None = None) -> Location:
    """Return the location of a model without fetching any weights, nor a GGUF file.

    So a GGUF file's configuration and tokenizer may be missing too.

    Raises:
        ModelError: as :func:`locate`.
    """
    return _located(model, revision)


def _with_tokenizer(location: Location, name: str) -> Location:
    """Return the location with a tokenizer from elsewhere, if one is named and it has none."""
    if not name or location.gguf or has_vocabulary(location.folder):
        return location
    try:
        if is_local(name):
            folder = _expanded(name)
            check_folder(name, folder)
        else:
            folder = fetch_configuration(HubModel(name, _pinned(name)))
        digest = _digest(name, tokenizer_files(folder))
    except ModelError as error:
        raise type(error)(f"{location.name}: its tokenizer: {error}") from error
    if not has_vocabulary(folder):
        raise ModelError(f"{location.name}: its tokenizer should be in {name}, which has none")
    return replace(location, tokenizer=folder, digest=f"{location.digest}, tokenizer {digest}")


def _located(model: str, revision: str | None) -> Location:
    """Return the location of a model; of one of the hub, configuration and tokenizer are fetched.

    Raises:
        ModelError: as :func:`locate`.
    """
    if not model:
        raise ModelError("--model is empty; give a folder, a GGUF file or an identifier")
    path = _expanded(model)
    if revision is not None and path.exists():
        raise ModelError(f"{model}: --revision is for models of the hub, but this one is local")
    try:
        if path.is_file() and path.suffix == ".gguf":
            check_folder(model, path.parent)
            return _local(model, path.parent, path.name)
        if path.is_dir():
            check_folder(model, path)
            return _local(model, path, _gguf(path))
        if path.exists():
            raise ModelError(f"{model}: not a GGUF file; give a model's folder or GGUF file")
    except OSError as error:  # the name is too long for a file, or the folder is unreadable
        if error.errno != errno.ENAMETOOLONG:
            raise ModelError(f"{model}: {error.strerror}") from error
    repository, gguf = _repository(model)
    if not _HUB_ID.fullmatch(repository) or repository.endswith(".gguf"):
        raise ModelError(
            f"{model}: no such local folder or GGUF file, and not a Hugging Face identifier"
        )
    return _located_on_hub(HubModel(repository, revision or _pinned(repository), gguf))


def is_local(model: str) -> bool:
    """Return whether the name is a local folder or file, not an identifier of the hub."""
    try:
        return _expanded(model).exists()
    except OSError:  # the name is too long for a file, or the folder is unreadable
        return False


def file_digests(location: Location) -> dict[str, str]:
    """Return separate digests of the files of the weights, the tokenizer and the configuration.

    A GGUF file contains all three, but files next to it take precedence, and have their own digest.
    """
    files = {
        "weights": location.weights,
        "tokenizer": tokenizer_files(location.tokenizer_folder),
        "settings": [p for p in configuration_files(location.folder) if p.name in SETTINGS],
    }
    return {kind: files_digest(paths) for kind, paths in files.items() if paths}


def _repository(model: str) -> tuple[str, str | None]:
    """Split ``owner/name/file.gguf`` into the repository of the hub and the file in it."""
    owner, _, rest = model.partition("/")
    name, _, file = rest.partition("/")
    return (f"{owner}/{name}", file) if file.endswith(".gguf") else (model, None)


def _pinned(repository: str) -> str | None:
    """Return the commit to which the benchmark's registry pins the repository, or None."""
    model = registry().by_huggingface_id(repository)
    return (model.revision or None) if model else None


def _expanded(model: str) -> Path:
    try:
        return Path(model).expanduser()
    except RuntimeError:  # ~name of an unknown user
        return Path(model)


def _local(model: str, folder: Path, gguf: str | None) -> Location:
    check_no_adapter(model, folder)
    if not gguf and str(folder) != os.fsencode(folder).decode(errors="replace"):
        raise ModelError(f"{model}: tokenizers reads no path that is not UTF-8; rename the folder")
    for path in index_files(folder):
        check_no_pointer(model, path)
    weights = [folder / gguf] if gguf else weight_files(folder)
    if not weights:
        raise ModelError(f"{model}: no weights in this folder: no safetensors, GGUF or {PICKLED}")
    # A GGUF file contains configuration and tokenizer, but files next to it take precedence.
    digest = _digest(model, [*weights, *configuration_files(folder)])
    return Location(model, folder, gguf, digest)


def _digest(model: str, files: Sequence[Path]) -> str:
    """Return the digest of a model's files.

    Raises:
        ModelError: if one cannot be read, or is a pointer to a file that was not downloaded.
    """
    try:
        for path in files:
            check_no_pointer(model, path)
        return files_digest(files)
    except DataError as error:
        raise ModelError(str(error)) from error
    except OSError as error:
        raise ModelError(f"{error.filename or model}: cannot be read: {error.strerror}") from error


def _gguf(folder: Path) -> str | None:
    if any(folder.glob("*.safetensors")):
        return None
    names = sorted(path.name for path in folder.glob("*.gguf"))
    if len(names) > 1:
        raise ModelError(f"{folder}: {len(names)} GGUF files; name one: {folder / names[0]}")
    return names[0] if names else None


def _located_on_hub(model: HubModel) -> Location:
    """Return the location of a model whose configuration and tokenizer are fetched."""
    folder = fetch_configuration(model)
    check_no_adapter(model.repository, folder)
    return Location(model.name, folder, model.gguf, f"{_COMMIT}{folder.name}")


def fetch_missing_weights(location: Location, say: Callable[[str], None] = lambda _: None) -> None:
    """Fetch the weights of a model of the hub if they are not here yet.

    Raises:
        DoesNotFitError: if the disk has no room for them.
        ModelError: if there are none, or they cannot be fetched.
    """
    if location.on_hub:
        fetch_weights(hub_model(location), location.folder, say)


def hub_model(location: Location) -> HubModel:
    """Return the repository and the commit of a location on the hub."""
    repository, gguf = _repository(location.name)
    return HubModel(repository, location.folder.name, gguf)
