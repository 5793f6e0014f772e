"""Finished runs as JUnit: figures equal those of the summary, pairs fail by their verdict."""

from pathlib import Path
from xml.etree import ElementTree as ET

from benchmark.boxes.baseline import baselines
from benchmark.export.junit import junit_of
from benchmark.models.registry import registry
from benchmark.report.gather import gather
from fakes import finished_runs

BASE, VARIANT = "meta-llama/Llama-2-7b-hf", "codellama/CodeLlama-7b-hf"


def _junit(folder: Path) -> ET.Element:
    return ET.fromstring(junit_of(gather([folder], registry())))  # noqa: S314  # trusted


def _properties(element: ET.Element | None) -> dict[str | None, str | None]:
    assert element is not None
    return {p.get("name"): p.get("value") for p in element.findall("properties/property")}


def test_one_suite_per_run_and_one_case_per_numops(tmp_path: Path) -> None:
    """The counts by numops add up to the overall case; the suite has settings and versions."""
    states = finished_runs.first_states(65)
    finished_runs.write_run(tmp_path / "a", BASE, states, finished_runs.initial_answer)
    suite, pairs = _junit(tmp_path)
    cases = {case.get("name"): _properties(case) for case in suite.findall("testcase")}
    by_numops = [values for name, values in cases.items() if name and name.startswith("numops ")]
    by_numops.remove(cases["numops >= 1"])
    assert sum(int(values["total"] or 0) for values in by_numops) == 65 * 7
    correct = int(cases["overall"]["correct"] or 0)
    assert sum(int(values["correct"] or 0) for values in by_numops) == correct
    assert cases["numops 0"]["accuracy"] == "100.00"
    assert cases["numops 0"]["exact.accuracy"] == "100.00"
    assert cases["overall"]["exact.total"] == cases["overall"]["total"]
    for case in ("overall", "numops >= 1"):
        errors = [int(n or 0) for name, n in cases[case].items() if str(name).startswith("errors.")]
        total, right = (int(cases[case][name] or 0) for name in ("total", "correct"))
        assert sum(errors) == total - right
    chance = baselines(states)
    for n in (0, 1):
        values = cases[f"numops {n}"]
        for score, name in (("set", "random"), ("exact", "exact.random")):
            percent = chance[score]["by_numops"][str(n)]
            assert values[name] == f"{percent:.2f}"
    assert cases["numops 0"]["random"] != cases["numops 0"]["exact.random"]
    assert float(cases["overall"]["low"] or 0) < float(cases["overall"]["accuracy"] or 0)
    properties = _properties(suite)
    assert (properties["model"], properties["protocol.engine"]) == (BASE, "outlines")
    assert (properties["version.torch"], properties["data.sha256"]) == ("2.13.0", "d1")
    assert suite.get("failures") == "0"
    assert pairs.get("skipped") == pairs.get("tests")


def test_a_pair_fails_if_it_does_not_hold(tmp_path: Path) -> None:
    """A pair that loses instead of gaining fails; the case has both models' figures."""
    states = finished_runs.first_states(260)
    answers = (finished_runs.initial_answer, finished_runs.correct_answer)
    for name, (before, after), failures in (("good", answers, "0"), ("bad", answers[::-1], "1")):
        folder = tmp_path / name
        finished_runs.write_run(folder / "base", BASE, states, before)
        finished_runs.write_run(folder / "variant", VARIANT, states, after)
        suite = _junit(folder)[-1]
        assert (suite.get("name"), suite.get("failures")) == ("pairs", failures)
        case = suite.find("testcase")
        assert case is not None
        values = _properties(case)
        assert (values["base"], values["hypothesis"]) == (BASE, "gain")
        worse, better = ("base", "variant") if failures == "0" else ("variant", "base")
        assert float(values[f"{worse}.accuracy"] or 100) < 10
        assert values[f"{better}.accuracy"] == "100.00"
        assert values["variant.exact.accuracy"] == values["variant.accuracy"]
        assert values["exact.p"] == values["p"]
        assert 0 < float(values["exact.detectable"] or 0) < 100
        assert (case.find("failure") is not None) == (failures == "1")


def test_a_gain_that_is_not_excluded_is_skipped(tmp_path: Path) -> None:
    """Equal answers do not show that there is no gain."""
    states = finished_runs.first_states(260)
    for name, model in (("base", BASE), ("variant", VARIANT)):
        finished_runs.write_run(tmp_path / name, model, states, finished_runs.initial_answer)
    suite = _junit(tmp_path)[-1]
    assert suite.get("failures") == "0"
    assert "no gain beyond clustered error" in _skipped(suite)["code-llama2-7b"]


def test_an_undecided_pair_is_skipped(tmp_path: Path) -> None:
    """A pair on too few sequences neither passes nor fails; its case has the reason."""
    states = finished_runs.first_states(26)
    finished_runs.write_run(tmp_path / "base", BASE, states, finished_runs.initial_answer)
    finished_runs.write_run(tmp_path / "variant", VARIANT, states, finished_runs.correct_answer)
    suite = _junit(tmp_path)[-1]
    reasons = _skipped(suite)
    assert suite.get("failures") == "0"
    assert "2 sequences, at least 5 needed" in reasons["code-llama2-7b"]


def test_a_pair_with_one_model_measured_is_skipped(tmp_path: Path) -> None:
    """Its case says which model is missing; pairs without any measured model have none."""
    states = finished_runs.first_states(26)
    finished_runs.write_run(tmp_path / "base", BASE, states, finished_runs.initial_answer)
    reasons = _skipped(_junit(tmp_path)[-1])
    assert reasons == {
        "code-llama2-7b": "not measured: codellama-7b",
        "alignment-llama2-7b": "not measured: llama2-7b-chat",
    }


def test_a_pair_on_different_states_is_skipped(tmp_path: Path) -> None:
    """Both models are measured, and their answers cannot be paired."""
    for name, model, count in (("base", BASE, 26), ("variant", VARIANT, 13)):
        states = finished_runs.first_states(count)
        finished_runs.write_run(
            tmp_path / name,
            model,
            states,
            finished_runs.initial_answer,
            data={"sha256": name, "states": count},
        )
    reasons = _skipped(_junit(tmp_path)[-1])
    assert reasons["code-llama2-7b"] == "its models were not measured on the same states"


def _skipped(suite: ET.Element) -> dict[str | None, str]:
    """Return the reasons of the skipped cases by name."""
    return {
        case.get("name"): str(skipped.get("message"))
        for case in suite.findall("testcase")
        if (skipped := case.find("skipped")) is not None
    }


def test_hostile_names(tmp_path: Path) -> None:
    """Characters of a model's name that XML cannot contain are replaced."""
    states = finished_runs.first_states(13)
    finished_runs.write_run(tmp_path / "a", "x/\x00<&>\ud800", states, finished_runs.correct_answer)
    (suite,) = _junit(tmp_path)
    assert suite.get("name") == "?<&>?"
