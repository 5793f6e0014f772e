"""The complete ``-m gpu`` selection on a CPU, with a tiny model of each model's architecture."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.app import app
from benchmark.errors import DoesNotFitError
from benchmark.models.registry import registry
from benchmark.models.registry_types import Registry
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs import model_store
from benchmark.runs.measure import PreparedRun
from fakes.dummy_registry import write_dummy_registry

ROOT = Path(__file__).parents[2]
STATES = 2
BEYOND_THE_PAPER = {"code-qwen2.5-0.5b"}
"""A pair whose architecture no model of the paper has."""
SUMMARY = (
    "*pairs, at numops >= 1*",
    "alignment-codegemma-7b*no gain: undecided: *",
    "p: of each pair alone; *",
    "*pooled effects*",
    "code: * points (95 % interval*, 5 pairs",
    "  Q = *",
    "math: *, 5 pairs",
    "alignment: *, 11 pairs",
    "p: adjusted by Holm over the experiments; *",
)
"""Lines at the end of the run: verdicts on the pairs, and the pooled effects."""


@pytest.fixture(scope="module")
def rehearsed() -> Registry:
    """Return the paper's 29 models and 21 pairs, and one pair of a newer architecture."""
    models, all_pairs = registry().models, registry().pairs
    pairs = {p.id: p for p in all_pairs.values() if p.paper or p.id in BEYOND_THE_PAPER}
    keys = {key for pair in pairs.values() for key in (pair.base, pair.variant)}
    return Registry(models={key: models[key] for key in sorted(keys)}, pairs=pairs)


@pytest.fixture(scope="module")
def dummy_registry(
    rehearsed: Registry,
    tmp_path_factory: pytest.TempPathFactory,
    real_tokenizer: Callable[[str], TransformersTokenizer],
) -> Path:
    """Return the path of the registry of their dummy models."""
    return write_dummy_registry(rehearsed, tmp_path_factory.mktemp("models"), real_tokenizer)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with the unchanged reproduction test file and no snapshots yet."""
    (pytester.path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "reproduction" / "test_pairs.py", pytester.path / "tests")
    pytester.makeconftest(
        "import os\nos.environ['OMP_NUM_THREADS'] = '1'\n"
        "pytest_plugins = ['benchmark.pytest_plugin']\n"
    )
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    return pytester


def test_the_complete_reproduction_runs_without_a_gpu(
    dummy_registry: Path,
    rehearsed: Registry,
    project: pytest.Pytester,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Every model is measured once, every pair judged and recorded, and every claim decided.

    It runs in this process; test_plugin.py tests the distribution by xdist.
    """
    options = (
        "-m",
        "gpu",
        "--device=cpu",
        f"--registry={dummy_registry}",
        f"--states={STATES}",
        "--max-new-tokens=100",
    )
    count = len(rehearsed.pairs)
    first = project.runpytest_inprocess(*options, "--snapshot-update", "--no-confirm")
    # Two states are too few sequences for a verdict; records are written and compared nevertheless.
    first.assert_outcomes(skipped=count)
    first.stdout.fnmatch_lines(SUMMARY)
    progress = capfd.readouterr().err
    assert re.search(
        rf"^codegemma-7b: {STATES}/{STATES} states, .*% right$", progress, re.MULTILINE
    )
    store = project.path / "runs" / "store"
    results = sorted(store.glob("*/result.json"))
    assert len(results) == len(rehearsed.models)
    assert len({path.parent.name.rpartition("-")[0] for path in results}) == len(results)
    for path in results:
        result = json.loads(path.read_text())
        assert result["overall"]["total"] == 7 * STATES
        assert result["timing"]["decoded_states"] == STATES
    (kind,) = (project.path / "snapshots" / "pairs").iterdir()
    assert len(list((kind / "test_pairs").iterdir())) == count
    other = kind.with_name("nvidia-h100-default") / "test_pairs" / "test_pair[code-llama2-7b].json"
    other.parent.mkdir(parents=True)  # another machine's snapshots are kept and not reported
    other.write_text("{}")
    audit = _claims(store, dummy_registry, capfd)
    assert len(audit) == 22
    assert {claim["verdict"] for claim in audit} == {"undecided"}
    # These need the ablation, unconstrained answers, and the other prompt format.
    assert {"D1", "D2", "F1"} <= {claim["id"] for claim in audit if claim["missing"]}
    assert all(claim["reason"] for claim in audit)
    decoded = [path.stat().st_mtime_ns for path in results]
    again = project.runpytest_inprocess(*options, "-k", "code-")
    again.assert_outcomes(skipped=6, deselected=count - 6)
    again.stdout.fnmatch_lines(["code: *, 5 pairs"])
    again.stdout.no_fnmatch_line("math: *")
    assert again.ret == 0
    assert other.exists()
    assert [path.stat().st_mtime_ns for path in results] == decoded


def _claims(
    store: Path, dummy_registry: Path, capfd: pytest.CaptureFixture[str]
) -> list[dict[str, object]]:
    """Return the claims with their verdicts on the measurements."""
    capfd.readouterr()
    app(
        ["claims", "--results", str(store), "--registry", str(dummy_registry), "--json"],
        standalone_mode=False,
    )
    audited: list[dict[str, object]] = json.loads(capfd.readouterr().out)["claims"]
    return audited


def test_a_reproduction_that_differs_fails(dummy_registry: Path, project: pytest.Pytester) -> None:
    """Dummy models fail against the published counts; a gain that is not excluded is undecided."""
    expecting_gain = dummy_registry.with_name("expecting_gain.toml")
    expecting_gain.write_text(dummy_registry.read_text().replace('"no gain"', '"gain"'))
    registry_option = f"--registry={expecting_gain}"
    options = ("-m", "gpu", "--device=cpu", registry_option, "--states=48")
    done = project.runpytest_inprocess(*options, "-q", "-k", "code-llama2-7b")
    assert "states" not in done.stderr.str()
    done.assert_outcomes(failed=1, deselected=21)
    done.stdout.fnmatch_lines(
        [
            "*CodeLlama 7B at numops 0 by exact: 0.0, published 90.9*",
            "*gain: undecided: no gain*",
            "*+0.0 points*",
        ]
    )


def test_unavailable_models_are_skipped(project: pytest.Pytester) -> None:
    """The pairs of an unavailable model are skipped with its reason."""
    project.path.joinpath("own.toml").write_text(
        "alone = true\n"
        + "\n".join(
            f'[models.{key}]\nname = "{key}"\nhuggingface_id = "nobody/{key}"\n'
            'architecture = "llama"\nsize = "1B"\nadded = ["code"]\n'
            'format = "completion"\npaper = false'
            for key in ("one", "two")
        )
        + '\n[[pairs]]\nid = "code-own"\nexperiment = "code"\nbase = "one"\nvariant = "two"\n'
        'hypothesis = "gain"\nsource = "a test"\n'
    )
    options = ("-m", "gpu", "--device=cpu", "--registry=own.toml", "--states=1")
    done = project.runpytest_inprocess(*options)
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED*nobody/one: no such local file or folder*"])
    plain = project.runpytest_inprocess("-m", "gpu")
    plain.assert_outcomes(skipped=len(registry().pairs))
    assert plain.ret == 0
    plain.stdout.fnmatch_lines(["SKIPPED*needs a CUDA GPU, and torch sees none here*"])


def test_a_model_that_does_not_fit_is_skipped_once(
    dummy_registry: Path, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pairs are skipped with its reason, and it is not loaded again for the next pair."""
    loaded: list[str] = []

    def execute(work: PreparedRun, *_: object, **__: object) -> None:
        loaded.append(work.location.folder.name)
        raise DoesNotFitError(f"{loaded[-1]}: does not fit on this machine")

    monkeypatch.setattr(model_store, "execute", execute)
    options = ("-m", "gpu", "--device=cpu", f"--registry={dummy_registry}", "--states=1")
    done = project.runpytest_inprocess(*options, "-k", "llama2-13b")
    done.assert_outcomes(skipped=2, deselected=20)
    done.stdout.fnmatch_lines(["SKIPPED*llama2-13b: does not fit on this machine*"])
    assert loaded == ["llama2-13b"]


def test_fingerprints_of_models(dummy_registry: Path, project: pytest.Pytester) -> None:
    """A test is skipped until a fingerprint is recorded, and then fails if any stage changed."""
    shutil.copy(ROOT / "tests" / "reproduction" / "test_fingerprints.py", project.path / "tests")
    project.path.joinpath("tests", "test_pairs.py").unlink()
    options = ("-m", "gpu", "--device=cpu", f"--registry={dummy_registry}", "-k", "[codellama-7b]")
    limits = ("--states=2", "--max-new-tokens=100")
    done = project.runpytest_inprocess(*options, *limits)
    done.assert_outcomes(skipped=1, deselected=34)
    done.stdout.fnmatch_lines(["SKIPPED*no fingerprint of it yet: --snapshot-update --bless*"])
    update = ("--snapshot-update", "--bless=first", "--no-confirm")
    done = project.runpytest_inprocess(*options, *limits, *update)
    done.assert_outcomes(passed=1, deselected=34)
    (kind,) = (project.path / "snapshots" / "fingerprints").iterdir()
    assert len(list(kind.glob("*/*codellama-7b*"))) == 2
    project.runpytest_inprocess(*options, *limits).assert_outcomes(passed=1, deselected=34)
    done = project.runpytest_inprocess(*options, "--states=1", "--max-new-tokens=100")
    done.assert_outcomes(failed=1, deselected=34)
    done.stdout.fnmatch_lines(["*regression*"])
