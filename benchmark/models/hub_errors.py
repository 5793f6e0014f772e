"""Errors of fetching from the hub, as one line with the cause and the next step."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import ModelError, UnavailableModelError

_SCHEMES = ("all", "https", "http")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

_ELSEWHERE = "or name the folder of a copy instead"

_CACHE = "set HF_HOME to a folder with space that can be written to"

_OF_THE_CACHE = (
    *(errno.ENOSPC, errno.EDQUOT),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EEXIST),
)
"""Errors of a folder that has no space, cannot be written to, or is a file."""

_STATUS = {
    401: "the hub refuses the token (401): set HF_TOKEN to a valid one, or unset it",
    403: "the hub refuses access (403): check what HF_TOKEN may read",
    407: "the proxy wants a login (407): put user and password into its address",
    429: "the hub limits requests (429): wait some minutes, or set HF_TOKEN",
}


def hub_error(name: str, page: str, revision: str | None, error: Exception) -> ModelError:
    """Return the error for the user.

    Args:
        name: the identifier of the model, and of the file in its repository.
        page: the address of its repository.
        revision: the revision that was asked for, if any.
        error: what huggingface_hub or a library under it raised.
    """
    from huggingface_hub import errors as hub

    if isinstance(error, hub.GatedRepoError):  # a RepositoryNotFoundError too, so it comes first
        return UnavailableModelError(
            f"{name}: gated; accept its licence at {page}, then set HF_TOKEN to your token"
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return ModelError(f"{name}: no revision {revision!r}; see {page}/commits")
    if isinstance(error, hub.HFValidationError):
        return ModelError(f"{name}: not a Hugging Face identifier: {_text(error)}")
    return _network_error(name, page, error)


def _network_error(name: str, page: str, error: Exception) -> ModelError:
    from huggingface_hub import errors as hub

    if cause := _cause(error):
        return UnavailableModelError(f"{name}: not in the local cache, and {cause}")
    if isinstance(error, hub.RepositoryNotFoundError):
        return UnavailableModelError(
            f"{name}: no such local file or folder, and on the hub it is missing or private; check "
            f"the name at {page}, or set HF_TOKEN"
        )
    if _is_connection_error(error):
        return UnavailableModelError(
            f"{name}: no such local file or folder, not in the local cache, and the hub cannot be "
            f"reached; connect, unset HF_HUB_OFFLINE, {_ELSEWHERE}"
        )
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        advice = _CACHE if error.errno in _OF_THE_CACHE else f"rerun, {_ELSEWHERE}"
        return ModelError(f"{name}: cannot be fetched: {place}{error.strerror}; {advice}")
    return ModelError(f"{name}: cannot be fetched: {_text(error)}")


def _is_connection_error(error: Exception) -> bool:
    import httpx2
    from huggingface_hub import errors as hub

    return isinstance(
        error,
        hub.LocalEntryNotFoundError
        | hub.OfflineModeIsEnabled
        | hub.HfHubHTTPError
        | ConnectionError
        | httpx2.HTTPError,
    )


def _cause(error: Exception) -> str | None:
    """Return what is wrong with the network's settings or the hub's answer, if it is known."""
    chain = list(_chain(error))
    for status in (getattr(getattr(e, "response", None), "status_code", None) for e in chain):
        # A repository that is missing or private is answered with 401 too, and is its own error.
        if status in _STATUS and type(error).__name__ != "RepositoryNotFoundError":
            return _STATUS[status]
    for link in chain:
        if isinstance(link, UnicodeEncodeError):
            return "HF_TOKEN holds a character that no token has; set it again"
        if isinstance(link, FileNotFoundError) and (setting := _missing_certificates()):
            return f"{setting}: no such file; unset it, or name your certificates"
        if isinstance(link, ImportError | ValueError) and (setting := environment_proxy(*_SCHEMES)):
            return f"the proxy {setting} cannot be used: {_text(link)}; unset it, {_ELSEWHERE}"
        if isinstance(link, ValueError):  # a JSONDecodeError is one
            endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
            return (
                f"{endpoint} does not answer as a hub does, but perhaps with a login page; "
                f"log in to the network, check HF_ENDPOINT, {_ELSEWHERE}"
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what caused it, the last first."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _missing_certificates() -> str | None:
    for name in _CERTIFICATES:
        path = os.environ.get(name)
        if path and not Path(path).exists():
            return f"{name}={path}"
    return None


def environment_proxy(*schemes: str) -> str | None:
    """Return the first proxy that the environment has for these schemes, without a password in it.

    A scheme is ``http``, ``https`` or ``all``; the proxy is written as ``VARIABLE=ADDRESS``.
    """
    names = [name for scheme in schemes for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())]
    for name in names:
        if address := os.environ.get(name):
            return f"{name}={address.rpartition('@')[2]}"
    return None


def _text(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
