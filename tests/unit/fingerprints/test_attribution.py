"""The ranking of suspected causes."""

from dataclasses import replace

import pytest

from benchmark.decoding.external.installed import LLAMA_CPP_LIBRARIES, VLLM_LIBRARIES
from benchmark.decoding.external.server_scores import PROMPT_SCORES
from benchmark.fingerprints.attribution import RAISED_ERROR, suspects
from benchmark.fingerprints.digests import StageRecord
from benchmark.fingerprints.record import Fingerprint
from benchmark.fingerprints.stage import StageRow
from benchmark.fingerprints.stages import STAGES
from benchmark.runs.environment import code_digests, libraries
from benchmark.runs.suspect_table import KINDS, table
from fakes.fake_fingerprints import fake_fingerprint


def test_table_names_existing_stages_and_files() -> None:
    """The same holds for the names in the stages' own rows."""
    reaches = [reach for kind in table().values() for reach in kind.values()]
    reaches += [reach for row in STAGES.values() for reach in _own_reaches(row)]
    assert {stage for reach in reaches for stage in reach} <= set(STAGES)
    assert {number for reach in reaches for number in reach.values()} <= {1, 2, 3}
    files = code_digests()
    assert all(any(file.startswith(name) for file in files) for name in _named_files())
    assert {kind for row in STAGES.values() for kind in row.reached_by} <= set(KINDS)


def _own_reaches(row: StageRow) -> list[dict[str, int]]:
    """Return the reaches of a row, in the form of the table."""
    named = (reach for kind in row.reached_by.values() for reach in kind.values())
    return [{row.name: reach} for reach in named]


def _named_files() -> tuple[str, ...]:
    """Return the files and folders that the table or a stage's row names."""
    own = (name for row in STAGES.values() for name in row.reached_by.get("code", {}))
    return (*table()["code"], *own)


NO_SUSPECTS = (
    # folders whose code runs after the record is made, or not at all
    *(
        "checks/",
        "cli/",
        "controls/",
        "export/",
        "gate/",
        "gpu_proof/",
        "history/",
        "hypotheses/",
        "planning/",
        "pytest_plugin/",
        "report/",
        "reproduction/",
        "runs/store/",
        "speed/",
        "stats/",
        "upgrades/",
    ),
    *(
        "__init__.py",
        "__main__.py",
        "descriptors.py",
        "errors.py",
        "github.py",
        "extras.py",
        "junit.py",
        "lifetime.py",
        "locking.py",
        "output.py",
        "package_data.py",
        "folder_writing.py",
        "streams.py",
        "writing.py",
        "hub_errors.py",
        "hub_download.py",
        "prefetch.py",
    ),
    # published figures, in folders whose other files are named
    *("validation.py", "published.csv", "published.py", "published.toml"),
    *("library_messages.py", "short_name.py", "time_limit.py", "cache_folder.py"),
    *("template_process.py", "forked_process.py"),
    # a run's own record, and its progress and tables
    *("environment.py", "identity.py", "measure.py", "model_store.py"),
    *(
        "error_tables.py",
        "forecast.py",
        "gpu_fit.py",
        "paired_comparison.py",
        "paired_table.py",
        "placement.py",
        "progress.py",
    ),
    *(
        "notices.py",
        "progress_notes.py",
        "result_table.py",
        "run_result.py",
        "sensitivity.py",
        "sensitivity_table.py",
    ),
    # judges answers that were decoded before
    *("certificate.py", "certify.py"),
    *("suspect_table.py", "suspects.toml", "migration.py", "moved_files.toml"),
    # the current code compares both records, so that it cannot make them differ
    *("alignment.py", "allowed.py", "attribution.py", "ci.py", "comparison.py", "compare.py"),
    "error_changes.py",
    *("examples.py", "flips.py", "stage_diffs.py", "noise.py", "noise_measurement.py"),
    *("run_environment.py", "summary.py", "terminal.py", "grammar_differences.py"),
)
"""Folders and file names that cannot change a stage."""


def _is_no_suspect(file: str) -> bool:
    folders = tuple(name for name in NO_SUSPECTS if name.endswith("/"))
    return file.startswith(folders) or file.rpartition("/")[2] in NO_SUSPECTS


def test_every_file_is_classified() -> None:
    """A new file is named by the table or by NO_SUSPECTS, never by both."""
    named = _named_files()
    for file in code_digests():
        # A named folder includes files that are not named one by one.
        assert file.startswith(named) or _is_no_suspect(file), f"{file}: add it to suspects.toml"
    files = tuple(code_digests())
    for name in NO_SUSPECTS:
        assert any(
            file == name or file.startswith(name) or file.endswith(f"/{name}") for file in files
        ), f"{name}: no such file any more"
    assert not [name for name in named if _is_no_suspect(name)]


@pytest.mark.parametrize("stage", STAGES)
def test_unchanged_files_are_named_last(record: Fingerprint, stage: str) -> None:
    """If the environments are equal, the files that make the stage are named as unchanged."""
    if stage == "weights":
        assert "models/loading.py" in {suspect.name for suspect in suspects(record, record, stage)}
    ranked = suspects(record, record, stage)
    assert ranked
    assert not any(suspect.changed for suspect in ranked)


def test_libraries_are_ranked_by_their_reach() -> None:
    """Of two changed libraries, the one with the more direct reach is first."""
    old = fake_fingerprint()
    new = fake_fingerprint(versions={"torch": "2.14", "outlines_core": "0.3"})
    for stage, first in (("constraint", "outlines_core"), ("logits", "torch")):
        assert suspects(old, new, stage)[0].name == first
    assert [suspect.reach for suspect in suspects(old, new, "dataset") if suspect.changed] == [0, 0]


@pytest.mark.parametrize(
    ("library", "stage", "reach"),
    [
        *[("vllm", "generated_ids", 3), ("sglang", "logits", 3), ("xllamacpp", "logits", 3)],
        *[("llama-cpp-python", "generated_ids", 3), ("xgrammar", "generated_ids", 3)],
        *[("llguidance", "generated_ids", 3), ("xgrammar", "logits", 0), ("vllm", "prompt_ids", 0)],
    ],
)
def test_a_library_where_an_engine_runs(library: str, stage: str, reach: int) -> None:
    """An upgrade there is told from one here, and ranked by what it can reach there."""
    one = fake_fingerprint()
    old, new = (
        replace(
            one,
            environment=replace(
                one.environment, engine={f"versions.{library}": version, "kind": "k"}
            ),
        )
        for version in ("1", "2")
    )
    (suspect,) = [suspect for suspect in suspects(old, new, stage) if suspect.changed]
    assert (suspect.kind, suspect.name) == ("library", f"{library} (engine)")
    assert (suspect.old, suspect.new, suspect.reach) == ("1", "2", reach)


def test_what_an_engine_tells_of_itself() -> None:
    """A flag is a suspect with its own reach, or that of all the engine's settings."""
    one = fake_fingerprint()
    for name, reach in (("flags.grammar_backend", 3), ("arguments.anything", 2)):
        old, new = (
            replace(one, environment=replace(one.environment, engine={name: value}))
            for value in ("a", "b")
        )
        (suspect,) = [s for s in suspects(old, new, "generated_ids") if s.changed]
        assert (suspect.kind, suspect.name, suspect.reach) == ("setting", f"engine.{name}", reach)


def test_the_libraries_of_engines_are_in_the_table() -> None:
    """Every version that is recorded can be a suspect."""
    assert {*VLLM_LIBRARIES, *LLAMA_CPP_LIBRARIES, *PROMPT_SCORES} <= table()["engine"].keys()


def test_another_matrix_product_backend_is_named() -> None:
    """It decides the last bits of logits, and a trial may choose another one with a new torch."""
    one = fake_fingerprint()
    old, new = (
        replace(one, environment=replace(one.environment, batches={"composition": composition}))
        for composition in ({"products": "MKL"}, {"products": "oneDNN"})
    )
    for stage in ("logits", "generated_ids"):
        (suspect,) = [suspect for suspect in suspects(old, new, stage) if suspect.reach]
        assert (suspect.name, suspect.changed) == ("batches.composition", True)


def test_digests_of_different_schemes_are_no_difference() -> None:
    """A digest of an older version says nothing about the model's files."""
    one = fake_fingerprint()
    old, new = (
        replace(one, environment=replace(one.environment, model={"weights": digest}))
        for digest in ("sha256:1", "sha256-tree:2")
    )
    assert not [s for s in suspects(old, new, "weights") if s.changed]


def test_library_that_raised_is_first() -> None:
    """The library whose code raised the error is first, regardless of its usual reach."""
    old = fake_fingerprint(versions={"tokenizers": "1", "transformers": "4"})
    new = fake_fingerprint(versions={"tokenizers": "2", "transformers": "5"})
    stages = {**new.stages, "constraint": StageRecord(failed="KeyError: 'x' (transformers/a.py:7)")}
    first = suspects(old, replace(new, stages=stages), "constraint")[0]
    assert (first.name, first.reach) == ("transformers", RAISED_ERROR)


def test_longest_prefix_decides(record: Fingerprint) -> None:
    """A file that the table names has its own reach, not its folder's."""
    old = replace(record, code={"boxes/answers.py": "1", "boxes/world.py": "1"})
    new = replace(record, code={"boxes/answers.py": "2", "boxes/world.py": "2"})
    ranked = [suspect for suspect in suspects(old, new, "constraint") if suspect.changed]
    assert [(suspect.name, suspect.reach) for suspect in ranked] == [
        ("boxes/answers.py", 3),
        ("boxes/world.py", 0),
    ]


def test_row_names_suspects_of_its_stage(
    record: Fingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of a stage's row count like those of the table, for that stage only."""
    own = {"code": {"report/": 3, "prompts/": 1}, "library": {"torch": 2}}
    monkeypatch.setitem(STAGES, "prompt_ids", replace(STAGES["prompt_ids"], reached_by=own))
    old = replace(record, code={"report/page.py": "1", "prompts/rendering.py": "1"})
    new = replace(record, code={"report/page.py": "2", "prompts/rendering.py": "2"})
    reaches = {suspect.name: suspect.reach for suspect in suspects(old, new, "prompt_ids")}
    assert reaches == {"report/page.py": 3, "prompts/rendering.py": 3}
    reaches = {suspect.name: suspect.reach for suspect in suspects(old, new, "prompt")}
    assert reaches == {"report/page.py": 0, "prompts/rendering.py": 3}
    assert "report/" in {suspect.name for suspect in suspects(record, record, "prompt_ids")}
    versions = {**record.environment.versions, "torch": "2.14"}
    changed = replace(record, environment=replace(record.environment, versions=versions))
    assert [suspect.reach for suspect in suspects(record, changed, "prompt_ids")] == [2]


def test_recorded_libraries_are_those_of_the_table() -> None:
    """Every suspect is recorded, and every recorded library can be a suspect."""
    assert set(libraries()) == set(table()["library"])
