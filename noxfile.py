"""The tests under other Pythons and the checks of the source, each in its own environment.

The commands are in the Makefile; a session passes its environment and Python to it.
"""

import shlex
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]


def make(session: nox.Session, target: str) -> None:
    """Make a target in the session's environment; the session's arguments are its ARGS."""
    arguments = shlex.join(session.posargs).replace("$", "$$")
    variables = (f"VENV={session.virtualenv.location}", "PYTHON=python", f"ARGS={arguments}")
    session.run("make", target, *variables, external=True)


# Not 3.14: no release of outlines allows it.
@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Run all tests that need no GPU; arguments go to pytest."""
    make(session, "test")


# The newest numpy needs Python 3.12.
_RELEASES = [
    nox.param("3.11", "lowest-direct", id="lowest"),
    nox.param("3.13", "highest", id="newest"),
]


@nox.session(venv_backend="uv")
@nox.parametrize(["python", "resolution"], _RELEASES)
def releases(session: nox.Session, resolution: str) -> None:
    """Run the tests with the lowest declared or the newest releases; arguments go to pytest."""
    session.install("--resolution", resolution, "--editable", ".[test]")
    session.run("python", "-m", "benchmark", "fetch", "--all", "--optional")
    session.run("python", "-m", "pytest", "-n", "2", "-m", "not gpu", *session.posargs)


@nox.session(venv_backend="uv", python="3.11")
def wheel(session: nox.Session) -> None:
    """Build the wheel and use it in an empty environment, outside the repository."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session.run("uv", "build", "--wheel", "--out-dir", name, external=True)
        (path,) = folder.glob("*.whl")
        session.install(f"{path}[pytest,report]")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "test_plugin.py").write_text(
            "def test_plugin(run_request):\n    assert run_request\n", encoding="utf-8"
        )
        model = Path("fixtures", "models", "track").resolve()
        session.chdir(folder)
        run = ("entity-tracking", "run", "--model", str(model), "--states", "8")
        session.run(*run, "--out", "runs/track")
        session.run("entity-tracking", "report", "runs")
        session.run("pytest", "-p", "benchmark.pytest_plugin", "--device", "cpu")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, layers, and the workflows if npx is installed."""
    make(session, "lint")


@nox.session
def canary(session: nox.Session) -> None:
    """Try upgrades: nox -s canary -- "transformers==X" "outlines==Y"; bare names are the newest.

    Only the changed libraries are installed, on top of requirements/constraints.txt. With flags
    alone, such as --pre, the usual libraries are tried. torch comes from the index that pip is
    configured with: set PIP_EXTRA_INDEX_URL for builds without CUDA, or for nightly ones.
    """
    make(session, "fetch")
    upgrades = list(session.posargs)
    if all(argument.startswith("-") for argument in upgrades):
        upgrades += ["torch", "transformers", "tokenizers", "outlines"]
    # Vanilla use is where most releases were caught (docs/caught.md); a folder is made where its
    # tokenizer could be fetched.
    folders = [Path(session.create_tmp()) / name for name in ("deepseek-llm", "mistral")]
    for folder in folders:
        command = ("fetch", folder.name, "--hub-folder", str(folder), "--optional")
        session.run("python", "-m", "benchmark", *command)
    vanilla = [part for folder in folders if folder.is_dir() for part in ("--vanilla", str(folder))]
    # Kept for the nightly workflow to read.
    report = ("--json-file", "canary.json", "--report", "canary.md", "--history", "canary.jsonl")
    suite = ("--suite", "tests")
    session.run("python", "-m", "benchmark", "canary", *report, *vanilla, *suite, *upgrades)


@nox.session
def families(session: nox.Session) -> None:
    """Record every tokenizer, and compare grammar backends with them (a minute, 1 GB)."""
    make(session, "venv")
    session.install("--group", "grammars")
    session.run("python", "-m", "benchmark", "fetch", "--all", "gemma-2")
    tests = ("tests/integration/test_tokenizers.py", "tests/integration/test_grammars.py")
    session.run("pytest", *tests, *session.posargs, env={"TEST_FAMILIES": "1"})


@nox.session
def harness(session: nox.Session) -> None:
    """Test the tasks for lm-evaluation-harness and Inspect, query by query."""
    make(session, "venv")
    session.install("--group", "harness")
    session.run("pytest", "tests/integration/test_harness.py", *session.posargs)


@nox.session
def ray(session: nox.Session) -> None:
    """Test a reproduction on a Ray cluster of several nodes on this machine; a node is killed."""
    make(session, "venv")
    session.install("ray>=2.50")
    tests = ("tests/integration/test_ray.py", *session.posargs)
    session.run("pytest", *tests, env={"OMP_NUM_THREADS": "1"})


@nox.session
def engines(session: nox.Session) -> None:
    """Test vLLM and llama.cpp, offline and as servers; makes .speed (5 GB) if it is missing."""
    make(session, "venv")
    session.run("make", "speed-engines", external=True)
    session.install("--group", "harness")  # lm_eval, which asks a server too
    tests = ("tests/integration/test_real_engines.py", *session.posargs)
    session.run("pytest", *tests, env={"TEST_ENGINES": "1"})
