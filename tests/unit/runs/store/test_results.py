"""Reading the results of finished runs."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import DataError
from benchmark.hypotheses.results import NONTRIVIAL, EvaluationSetting
from benchmark.models.registry import registry
from benchmark.models.registry_types import Alternative
from benchmark.records import Outcome, Tally
from benchmark.runs.store.results import read_results
from benchmark.runs.store.runs import read_runs
from benchmark.scoring.outcomes import outcomes_as_json
from benchmark.stats.summary import summarize

OUTCOMES = [
    Outcome(3, (0, 1, 2, 0, 0, 1, 1), (True, False, True, True, False, False, True)),
    Outcome(5, (0, 0, 0, 0, 0, 0, 0), (True,) * 7),
]

CHANCE = {"overall": 20.0, "nontrivial": 10.0, "by_numops": {"0": 40, "1": 12.5, "2": 5.0}}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(name, **changes)``: a result as ``run`` writes it, in ``runs/<name>``."""

    def create(name: str, **changes: object) -> Path:
        document: dict[str, object] = {
            **summarize(OUTCOMES).as_json(),
            "baseline": CHANCE,
            **outcomes_as_json(OUTCOMES),
            "model": {"name": "meta-llama/Llama-2-7b-hf", "fingerprint": "0123abcd"},
            "data": {"sha256": "d1", "states": 2},
            "protocol": {"name": "default", "engine": "outlines", "prompt_format": "completion"},
            **changes,
        }
        path = tmp_path / "runs" / name / "result.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document))
        return path

    return create


def test_a_result_as_run_writes_it(write: Write, tmp_path: Path) -> None:
    """Model, setting, counts, outcomes, baseline and data are those of the document."""
    path = write("deep/er/llama")
    results = read_results(tmp_path, registry())
    (result,) = results.entries
    assert results.of("llama2-7b") is result
    assert (result.model, result.data, result.source) == ("llama2-7b", "d1", str(path))
    assert result.setting == EvaluationSetting("constrained", "completion")
    assert result.outcomes == tuple(OUTCOMES)
    assert result.by_numops == {0: Tally(9, 10), 1: Tally(1, 3), 2: Tally(1, 1)}
    assert result.tally(NONTRIVIAL) == Tally(2, 4)
    assert result.chance == {0: 0.4, 1: 0.125, 2: 0.05}
    assert result.chance_on(NONTRIVIAL) == pytest.approx((3 * 0.125 + 0.05) / 4)


@pytest.mark.parametrize(
    ("engine", "decoding"),
    [
        ("outlines", "constrained"),
        ("speculative", "constrained"),
        ("unconstrained", "unconstrained"),
    ],
)
def test_engines(write: Write, tmp_path: Path, engine: str, decoding: str) -> None:
    """Every engine except ``unconstrained`` counts as constrained."""
    write("a", protocol={"engine": engine, "prompt_format": "chat"})
    (result,) = read_results(tmp_path, registry()).entries
    assert result.setting == (decoding, "chat")


@pytest.mark.parametrize(
    "name", ["/data/models/llama2-7b", "models/llama2-7b/", "x/llama2-7b.gguf"]
)
def test_a_local_model_is_known_by_its_folder(write: Write, tmp_path: Path, name: str) -> None:
    """A local folder or GGUF file with the name of a registry key is that model."""
    write("a", model={"name": name, "fingerprint": "sha256:0123"})
    (result,) = read_results(tmp_path, registry()).entries
    assert result.model == "llama2-7b"


def test_a_key_with_a_point_is_known(write: Write, tmp_path: Path) -> None:
    """A folder name with a point, such as ``qwen2.5-0.5b``, is not cut."""
    write("a", model={"name": "models/qwen2.5-0.5b", "fingerprint": "sha256:0123"})
    (result,) = read_results(tmp_path, registry()).entries
    assert result.model == "qwen2.5-0.5b"


def test_a_repository_of_that_name_is_another_model(write: Write, tmp_path: Path) -> None:
    """Another owner's repository with the name of a key is left out, with a note."""
    path = write("a", model={"name": "somebody/llama2-7b", "fingerprint": "0123abcd"})
    results = read_results(tmp_path, registry())
    assert (results.entries, results.ignored) == ((), (f"{path}: somebody/llama2-7b",))


def test_settings_and_data_tell_results_apart(write: Write, tmp_path: Path) -> None:
    """The same model with other settings or data is another result."""
    write("a")
    write("b", protocol={"engine": "unconstrained", "prompt_format": "completion"})
    write("c", protocol={"engine": "outlines", "prompt_format": "chat"})
    write("d", data={"sha256": "d2"})
    assert len(read_results(tmp_path, registry()).entries) == 4


@pytest.mark.parametrize(("older", "newer"), [("a", "b"), ("b", "a")])
def test_of_two_the_newest_counts(write: Write, tmp_path: Path, older: str, newer: str) -> None:
    """Of two results of the same model, settings and data the older is left out, with a note."""
    first, second = write(older), write(newer)
    os.utime(first, (1, 1))
    results = read_results(tmp_path, registry())
    assert [result.source for result in results.entries] == [str(second)]
    (line,) = results.ignored
    assert line.startswith(f"{first}: an older measurement of meta-llama/Llama-2-7b-hf")


OPENMATH, OF_TABLE_4 = "nvidia/OpenMath-Mistral-7B-v0.1-hf", "nvidia/OpenMath-Mistral-7B-v0.1"


def test_a_result_of_an_alternative_belongs_to_its_row(write: Write, tmp_path: Path) -> None:
    """A run of the identifier in Table 4 counts as that model and names what was measured."""
    write("a", model={"name": OF_TABLE_4, "fingerprint": "commit:01"})
    results = read_results(tmp_path, registry())
    result = results.of("openmath-7b")
    assert result is not None
    assert (result.alternative, results.ignored) == (OF_TABLE_4, ())
    (run,) = read_runs([tmp_path], registry())
    assert run.label == f"OpenMath-Mistral 7B ({OF_TABLE_4})"
    assert run.result.model == "openmath-7b"


@pytest.mark.parametrize("newer", [OPENMATH, OF_TABLE_4])
def test_the_default_repository_counts_before_an_alternative(
    write: Write, tmp_path: Path, newer: str
) -> None:
    """The default repository counts even if it is older; the other is noted."""
    for number, name in enumerate((OPENMATH, OF_TABLE_4)):
        path = write(str(number), model={"name": name, "fingerprint": "commit:01"})
        os.utime(path, (9, 9) if name == newer else (1, 1))
    results = read_results(tmp_path, registry())
    assert [result.source for result in results.entries] == [
        str(tmp_path / "runs" / "0" / "result.json")
    ]
    (line,) = results.ignored
    assert line.endswith(f"1/result.json: a measurement of {OF_TABLE_4}, which is an alternative")


def test_an_alternative_without_a_row_is_left_out(write: Write, tmp_path: Path) -> None:
    """A result of an alternative without a published row is left out, with a note."""
    default, other = registry(), Alternative(huggingface_id="me/other", note="another release")
    model = default.model("mistral-7b").model_copy(update={"alternatives": (other,)})
    own = default.model_copy(update={"models": {**default.models, "mistral-7b": model}})
    path = write("a", model={"name": "me/other", "fingerprint": "commit:01"})
    results = read_results(tmp_path, own)
    assert results.entries == ()
    (line,) = results.ignored
    assert line == f"{path}: me/other, an alternative to mistral-7b without a published row"


@pytest.mark.parametrize("folder", [".", "nowhere"])
def test_no_result_is_refused(tmp_path: Path, folder: str) -> None:
    """A folder without results, or a missing folder, is an error with the next step."""
    with pytest.raises(DataError, match=r"no result\.json in or below it; measure with"):
        read_results(tmp_path / folder, registry())


BY_NUMOPS: dict[str, Any] = summarize(OUTCOMES).as_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {}}, r"no model\.name"),
        ({"model": {"name": "a"}}, r"no model\.fingerprint"),
        ({"model": "llama"}, r"no model in it"),
        ({"data": {"sha256": 5}}, r"no data\.sha256"),
        ({"protocol": {"engine": "outlines"}}, r"no protocol\.prompt_format"),
        ({"protocol": {"engine": "outlines", "prompt_format": "poem"}}, "prompt_format 'poem'"),
        ({"protocol": {"prompt_format": "chat"}}, r"no protocol\.engine"),
        ({"by_numops": None}, "no by_numops"),
        ({"by_numops": {"0": {"correct": 1}}}, "by_numops '0' is not a count"),
        ({"by_numops": {"x": {"correct": 1, "total": 2}}}, "by_numops 'x' is not a count"),
        ({"by_numops": {"0": {"correct": 1, "total": 2}}}, "does not count its outcomes"),
        ({"baseline": {}}, r"no baseline\.by_numops"),
        ({"baseline": {"by_numops": {"0": "much"}}}, "baseline of numops '0'"),
        ({"baseline": {"by_numops": {"0": 101}}}, "baseline of numops '0'"),
        ({"baseline": {**CHANCE, "set": 4}}, r"no baseline\.set\.by_numops"),
        ({"outcomes": ["1"]}, "are inconsistent"),
        ({"exact": 4}, "are inconsistent"),
        ({"exact": {"outcomes": ["1"]}}, "are inconsistent"),
        ({"exact": {"outcomes": ["1011001", "1111111"]}}, r"no exact\.by_numops"),
        (
            {"exact": {"outcomes": ["0000000", "1111111"], "by_numops": BY_NUMOPS["by_numops"]}},
            "does not count its outcomes",
        ),
        ({"sequences": None}, "are inconsistent"),
    ],
)
def test_a_malformed_result_is_named(
    write: Write, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """A missing or malformed value is an error in one line with the file's path."""
    path = write("a", **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_results(tmp_path, registry())
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_invalid_json_is_named(write: Write, tmp_path: Path) -> None:
    """A file that is not JSON is an error with its path."""
    path = write("a")
    path.write_text("{")
    with pytest.raises(DataError, match=r"result\.json"):
        read_results(tmp_path, registry())


def test_results_of_other_tasks_are_left_out(write: Write, tmp_path: Path) -> None:
    """Results of another task are not comparable with the paper's."""
    write("usual")
    other = write("other", data={"task": "move-contents", "sha256": "d", "states": 2})
    results = read_results(tmp_path, registry())
    assert ["usual" in result.source for result in results.entries] == [True]
    (line,) = results.ignored
    assert line.startswith(f"{other}: meta-llama/Llama-2-7b-hf on the task move-")


@pytest.mark.parametrize(
    ("name", "value"),
    [("prompt_variant", "table2"), ("bos", "never"), ("instruction_role", "system")],
)
def test_results_of_other_prompts_are_left_out(
    write: Write, tmp_path: Path, name: str, value: str
) -> None:
    """Runs with other prompts, as sensitivity makes them, do not count, even if they are newer."""
    usual = {"name": "default", "engine": "outlines", "prompt_format": "completion", "changed": []}
    write("usual", protocol=usual)
    otherwise = write("otherwise", protocol={**usual, name: value, "changed": ["dtype", name]})
    results = read_results(tmp_path, registry())
    (result,) = results.entries
    assert "usual" in result.source
    (line,) = results.ignored
    assert line.startswith(f"{otherwise}: meta-llama/Llama-2-7b-hf with {name} {value};")
