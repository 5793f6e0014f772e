"""Check for the libraries of the extras, such as ``[report]`` and ``[ray]``."""

from importlib.util import find_spec

from benchmark.errors import MissingLibraryError


def check_extra(library: str, extra: str, purpose: str) -> None:
    """Check that a library of an extra is installed.

    Args:
        library: the name of the module, which is that of the distribution.
        extra: the extra in pyproject.toml that installs it.
        purpose: what needs it; begins the error.

    Raises:
        MissingLibraryError: if it is not installed.
    """
    if find_spec(library) is None:
        raise MissingLibraryError(
            f"{purpose} needs {library}, which is not installed; run: pip install {library} "
            f"(it is in the extra [{extra}])"
        )
