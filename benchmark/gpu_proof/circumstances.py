"""The code, the machine and the libraries that a stage of the proof ran with."""

import hashlib
import json
import subprocess

from benchmark.lifetime import run_tied
from benchmark.models.gpus import gpus, product_settings
from benchmark.models.hardware import cpu_name
from benchmark.package_data import package_parent
from benchmark.runs.environment import code_digests, versions
from benchmark.runs.store.run_identity import first_difference

_TESTS = ("gpu", "reproduction", "fakes")
"""The folders of tests that stages run."""

_SECONDS = 30

Circumstances = dict[str, str | None]


def circumstances(*, rehearsal: bool) -> Circumstances:
    """Return what a stage that runs now is proved with, by name.

    ``commit`` is that of the checkout, None if git does not tell. ``code`` is a digest of the
    package and of the tests that stages run, as they are.
    """
    products = product_settings()
    return {
        "commit": _commit(),
        "code": _code(),
        "card": cpu_name() if rehearsal else ", ".join(gpu.name for gpu in gpus()),
        "driver": None if rehearsal else str(products["driver"]),
        "cuda": None if rehearsal else str(products["cuda"]),
        **dict(sorted(versions().items())),
    }


def change(before: Circumstances, now: Circumstances) -> str:
    """Return the first difference in words; empty if a proof holds here and now.

    Another commit with the same code is none.
    """
    if not before:
        return "its report does not say with which code and on which card"
    old, new = ({n: v for n, v in one.items() if n != "commit"} for one in (before, now))
    return first_difference(old, new)


def digest(now: Circumstances) -> str:
    """Return a short name of circumstances; the commit does not count."""
    text = json.dumps({name: value for name, value in now.items() if name != "commit"})
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _code() -> str:
    found = {f"benchmark/{path}": text for path, text in code_digests().items()}
    tests = package_parent() / "tests"
    for path in sorted(path for name in _TESTS for path in (tests / name).rglob("*.py")):
        found[path.relative_to(tests).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:12]


def _commit() -> str | None:
    command = ["git", "-C", str(package_parent()), "rev-parse", "HEAD"]
    try:
        done = run_tied(command, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):  # no git here
        return None
    return done.stdout.strip() if done.returncode == 0 else None
