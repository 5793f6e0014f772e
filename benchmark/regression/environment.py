"""The versions of everything that can change a score."""

import platform
from importlib.metadata import PackageNotFoundError, version

LIBRARIES = (
    "torch",
    "transformers",
    "tokenizers",
    "outlines",
    "outlines_core",
    "safetensors",
    "gguf",
    "huggingface_hub",
    "accelerate",
    "bitsandbytes",
    "jinja2",
    "numpy",
)


def versions() -> dict[str, str]:
    """The version of Python and of each library; a library that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
