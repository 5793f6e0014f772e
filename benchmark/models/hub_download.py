"""Fetch a model of the hub: configuration and tokenizer first, its weights when they are needed.

What a repository has, how large it is and whether this machine has room for it are known before
the first byte of the weights.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from benchmark.errors import DoesNotFitError, ModelError
from benchmark.locking import locked_if_possible
from benchmark.models.cache_folder import cache_folder
from benchmark.models.hub_errors import hub_error
from benchmark.models.model_files import PICKLED, weight_files
from benchmark.writing import ensure_folder

CONFIGURATION = ("*.json", "*.jinja", "*.txt", "tokenizer.model")
_SAFETENSORS = "*.safetensors"
_OTHERS = ("*.nemo", "*.gguf", "*.pth", "*.msgpack", "*.h5")
"""Weights of other libraries, which are named if a repository has nothing else."""

_IGNORED = ("*/*", "consolidated*")  # second copies of the weights, in the authors' own format
_GB = 1e9


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository of the hub, the commit or revision of it, and the GGUF file in it, if any."""

    repository: str
    revision: str | None = None
    gguf: str | None = None

    @property
    def name(self) -> str:
        """The name by which a user asks for it."""
        return f"{self.repository}/{self.gguf}" if self.gguf else self.repository

    @property
    def page(self) -> str:
        """The page of its repository."""
        return f"https://huggingface.co/{self.repository}"


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of a model's weights on the hub: their names, and bytes in all and missing here."""

    names: tuple[str, ...]
    total: int
    missing: int


def fetch_configuration(model: HubModel) -> Path:
    """Fetch configuration and tokenizer, and return their folder, which is named after the commit.

    Raises:
        ModelError: if the repository does not exist, is gated, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    ignored = None if model.gguf else [*_IGNORED]
    try:
        return Path(
            snapshot_download(
                model.repository,
                revision=model.revision,
                allow_patterns=[*CONFIGURATION],
                ignore_patterns=ignored,
            )
        )
    except Exception as error:  # of the hub, its HTTP library, a proxy, or the network's settings
        raise hub_error(model.name, model.page, model.revision, error) from error


def has_weights(folder: Path, gguf: str | None) -> bool:
    """Return whether all files of the weights are in the folder."""
    if gguf:
        return (folder / gguf).is_file()
    with suppress(ModelError):  # an index names a file that is missing
        return bool(weight_files(folder))
    return False


def list_weights(model: HubModel) -> WeightFiles:
    """Return the files of the weights, without fetching them.

    Raises:
        ModelError: if there are none, the repository is gated, or the hub cannot be reached.
    """
    from huggingface_hub import snapshot_download

    patterns = [model.gguf] if model.gguf else [_SAFETENSORS, PICKLED, *_OTHERS]
    ignored = None if model.gguf else [*_IGNORED]
    try:
        files = snapshot_download(
            model.repository,
            revision=model.revision,
            allow_patterns=patterns,
            ignore_patterns=ignored,
            dry_run=True,
        )
    except Exception as error:  # as above
        raise hub_error(model.name, model.page, model.revision, error) from error
    sizes = {file.filename: (file.file_size or 0, file.is_cached) for file in files}
    names = _loadable(sizes, model)
    return WeightFiles(
        names,
        sum(sizes[name][0] for name in names),
        sum(sizes[name][0] for name in names if not sizes[name][1]),
    )


def _loadable(names: Iterable[str], model: HubModel) -> tuple[str, ...]:
    """Return the files that are loaded: safetensors, or pickled ones where there are no others."""
    listed = sorted(names)
    for pattern in [model.gguf] if model.gguf else [_SAFETENSORS, PICKLED]:
        if chosen := tuple(name for name in listed if fnmatch(name, pattern)):
            return chosen
    others = f" but {listed[0]}, which cannot be loaded here" if listed else ""
    raise ModelError(
        f"{model.repository}: the repository has no {model.gguf or 'weights'}{others}; see "
        f"{model.page}, and name a GGUF file that it has as {model.repository}/FILE.gguf"
    )


def fetch_weights(
    model: HubModel, folder: Path, say: Callable[[str], None] = lambda _: None
) -> None:
    """Fetch the weights that are missing in the folder of a model's configuration.

    Of several processes that want the same model, one fetches it and the others wait for it. After
    an interrupted fetch the files that are complete are kept.

    Raises:
        DoesNotFitError: if the disk has less space than the missing files take.
        ModelError: if they cannot be fetched.
    """
    if has_weights(folder, model.gguf):
        return
    digest = hashlib.sha256(f"{model.name}@{folder.name}".encode()).hexdigest()[:12]
    locks = cache_folder() / "fetching"
    with suppress(OSError):  # without a folder there is no lock, and each process fetches
        ensure_folder(locks)
    with locked_if_possible(locks / f"{digest}.lock"):
        if not has_weights(folder, model.gguf):  # the process before may have fetched them
            _fetch(model, say)


def _fetch(model: HubModel, say: Callable[[str], None]) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import DryRunError

    names: tuple[str, ...] = (model.gguf or _SAFETENSORS,)
    try:
        files = list_weights(model)
    except ModelError as error:
        # Without a network the cache may have what :func:`has_weights` does not know.
        if not isinstance(error.__cause__, DryRunError):
            raise
    else:
        check_space(model.name, files.missing)
        say(f"fetching {model.name}: {files.missing / _GB:.1f} GB in {len(files.names)} files")
        names = files.names
    try:
        snapshot_download(model.repository, revision=model.revision, allow_patterns=[*names])
    except Exception as error:  # as above
        raise hub_error(model.name, model.page, model.revision, error) from error


def check_space(name: str, size: int) -> None:
    """Check that the disk of the hub's cache has room for that many bytes.

    Raises:
        DoesNotFitError: with the folder and another choice, if it does not.
    """
    folder, free = free_space()
    if size > free:
        raise DoesNotFitError(
            f"{name}: {size / _GB:.1f} GB of weights are missing, and {free / _GB:.1f} GB are free "
            f"in {folder}; free some, or set HF_HOME to a folder with more space"
        )


def free_space() -> tuple[Path, int]:
    """Return the folder of the hub's cache, and the free bytes on its disk."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return folder, shutil.disk_usage(existing).free
