"""Speed comparisons with fake engines: the order of measurements, and what is kept."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.decoding.external.messages import DecodeReply, DecodeRequest
from benchmark.errors import BenchmarkError, RefusedModelError, SettingError
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.speed.comparison import SpeedRequest
from benchmark.speed.run import speed
from fakes import fake_engines
from fakes.tiny_models import tiny_model
from fakes.tiny_tokenizer import tiny_tokenizer

STATES = 3


class RecordedProgress:
    """Progress that records its calls."""

    def __init__(self) -> None:
        """Start empty."""
        self.lines: list[str] = []
        self.rounds: list[tuple[str, int]] = []

    def say(self, text: str) -> None:
        """Record the call."""
        self.lines.append(text)

    def start(self, total: int) -> None:
        """Do nothing."""

    def begin(self, label: str, round_number: int) -> None:
        """Record the call."""
        self.rounds.append((label, round_number))

    def advance(self) -> None:
        """Do nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model."""
    return tmp_path_factory.mktemp("speed")


@pytest.fixture
def request_(
    folder: Path,
) -> Callable[..., SpeedRequest]:
    """Return a function that makes a request for a tiny model."""
    if not (folder / "config.json").exists():
        tokenizer = tiny_tokenizer()
        tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id).save_pretrained(folder)
        tokenizer.raw.save_pretrained(folder)
    data = DataRequest(seed=1, states=STATES)
    run = RunRequest(str(folder), Path("unused"), data, device="cpu", dtype="float32")
    return lambda engines, **more: SpeedRequest(run, engines, **{"repeats": 2, **more})


def test_rounds_take_turns(request_: Callable[..., SpeedRequest], engines: SimpleNamespace) -> None:
    """Each round has every engine and the limit, every second backwards; rows have ratios."""
    engines.seconds = lambda label, size: 6.0 if label == "outlines" else 2.0
    progress = RecordedProgress()
    comparison = speed(request_("speculative,outlines"), progress)
    limit = "arithmetic limit in float32"
    first = [("speculative", 0), ("outlines", 0), (limit, 0)]
    assert progress.rounds == [*first, (limit, 1), ("outlines", 1), ("speculative", 1)]
    ours, paper = comparison.figures()
    assert (ours.seconds, ours.times, ours.passes, ours.tokens) == (2.0, 3.0, 3.0, 5.0)
    assert (ours.same, ours.compared, paper.times) == (STATES, STATES, 1.0)
    assert ours.to_limit == pytest.approx(2.0 / comparison.limits["float32"].seconds)
    # The unshared tokens of the prompts, plus the answers, which are reversed prompts.
    lengths = [len(prompt) for prompt in comparison.prompts]
    assert comparison.limits["float32"].tokens > sum(lengths) / STATES
    assert comparison.limits["float32"].choices == STATES
    assert not comparison.stopped
    assert engines.open == []


def test_slow_engines_have_fewer_states(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """Seconds are per state of each engine; only states that both answered are compared."""
    comparison = speed(request_("speculative,outlines", slow_states=2), RecordedProgress())
    ours, paper = comparison.figures()
    assert (ours.states, paper.states) == (STATES, 2)
    assert (ours.seconds, paper.seconds, ours.same, ours.compared) == (1.0, 1.0, 2, 2)


def test_failing_engine_does_not_affect_others(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """Failures when opening and in a round are reported, and the table has the other rows."""

    def fault(label: str, what: str, before: int) -> BenchmarkError | None:
        if label == "unconstrained" and what == "open":
            return BenchmarkError("unconstrained: no weights")
        if label == "speculative" and (what, before) == ("measure", 2):
            return BenchmarkError("speculative: broke")
        return None

    engines.fault = fault
    progress = RecordedProgress()
    comparison = speed(request_("speculative,unconstrained,outlines"), progress)
    rows = {row.spec.label: row for row in comparison.figures()}
    assert rows["unconstrained"].failure == "unconstrained: no weights"
    assert (rows["speculative"].rounds, rows["speculative"].failure) == (1, "speculative: broke")
    assert (rows["outlines"].rounds, rows["outlines"].failure) == (2, None)
    assert {"unconstrained: no weights", "speculative: broke"} <= set(progress.lines)


def test_no_engine_at_all(request_: Callable[..., SpeedRequest], engines: SimpleNamespace) -> None:
    """If no engine can be opened, the comparison is refused with every reason."""
    engines.fault = lambda label, what, before: (
        BenchmarkError(f"{label}: broke") if what == "open" else None
    )
    reasons = "^no engine can be measured: outlines: broke; speculative: broke$"
    with pytest.raises(SettingError, match=reasons):
        speed(request_("outlines,speculative"), RecordedProgress())
    assert engines.open == []


@pytest.mark.parametrize(("what", "before"), [("open", 0), ("measure", 0), ("measure", 2)])
def test_a_refused_model_ends_the_comparison(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace, what: str, before: int
) -> None:
    """Logits that are not finite, in any round of any engine, leave no figures."""
    engines.fault = lambda label, kind, number: (
        RefusedModelError("m: not finite")
        if (label, kind, number) == ("speculative", what, before)
        else None
    )
    with pytest.raises(RefusedModelError, match=r"^m: not finite$"):
        speed(request_("outlines,speculative"), RecordedProgress())
    assert engines.open == []


def test_warnings_of_libraries_are_kept(
    request_: Callable[..., SpeedRequest],
    engines: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Warnings of loading the weights are printed and written once for all engines."""
    measure = fake_engines.FakeProcess.measure

    def warned(process: fake_engines.FakeProcess, work: DecodeRequest) -> DecodeReply:
        return {**measure(process, work), "library_warnings": ["Some weights were changed."]}

    monkeypatch.setattr(fake_engines.FakeProcess, "measure", warned)
    progress = RecordedProgress()
    document = speed(request_("outlines,speculative"), progress).as_json()
    notices = document["notices"]
    assert isinstance(notices, dict)
    assert notices["weights"] == {"library_warnings": ["Some weights were changed."]}
    line = "warning while loading the weights: Some weights were changed."
    assert progress.lines.count(line) == 1


@pytest.mark.parametrize("interrupted", ["speculative", "limit (float32)"])
def test_ctrl_c_keeps_finished_rounds(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace, interrupted: str
) -> None:
    """The interrupted process is ended, and the first round is complete."""
    what = "limit" if interrupted.startswith("limit") else "measure"
    # An engine's first request is made by opening it.
    second = 1 if what == "limit" else 2
    engines.fault = lambda label, kind, before: (
        KeyboardInterrupt() if (label, kind, before) == (interrupted, what, second) else None
    )
    comparison = speed(request_("outlines,speculative"), RecordedProgress())
    assert comparison.stopped
    rows = {row.spec.label: row for row in comparison.figures()}
    assert rows["speculative"].rounds == 1
    assert rows["outlines"].seconds == 1.0
    assert "float32" in comparison.limits
    assert engines.open == []


def test_failures_outside_the_engines(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """Limits or margins that fail are reported, and Ctrl-C there keeps all rounds."""
    engines.odd = {"speculative": 9}
    for kind, raised in (
        ("limit", BenchmarkError("no room")),
        ("margins", BenchmarkError("no room")),
        ("margins", KeyboardInterrupt()),
    ):
        engines.fault = lambda label, what, before, kind=kind, raised=raised: (
            raised if what == kind else None
        )
        progress = RecordedProgress()
        comparison = speed(request_("outlines,speculative", verify=True), progress)
        assert [row.rounds for row in comparison.figures()] == [2, 2]
        assert comparison.stopped is isinstance(raised, KeyboardInterrupt)
        assert comparison.stopped or any(line.endswith("no room") for line in progress.lines)
        assert len(comparison.first_differences["speculative"]) == STATES
        assert engines.open == []


def test_verify_measures_margins_of_differences(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """An engine with other answers has the first differing tokens, with margins in both dtypes."""
    engines.odd = {"speculative:bfloat16": 9}
    comparison = speed(
        request_("outlines,speculative:bfloat16,speculative", verify=True), RecordedProgress()
    )
    differences = comparison.first_differences["speculative:bfloat16"]
    assert [one.state for one in differences] == list(range(STATES))
    assert all(one.ours == 9 for one in differences)
    assert [one.token for one in differences] == [len(prompt) for prompt in comparison.prompts]
    assert {(one.margin, one.margin_float32) for one in differences} == {(0.25, 0.25)}
    assert all(one.certified for one in differences)
    assert comparison.first_differences["speculative"] == []
    engines_progress = comparison.as_json()["engines"]
    assert isinstance(engines_progress, list)
    assert len(engines_progress[1]["partings"]) == STATES


def test_invalid_requests(request_: Callable[..., SpeedRequest], engines: SimpleNamespace) -> None:
    """Each is refused before any engine is opened."""
    for request, message in (
        (request_("speculative", verify=True), "--verify needs the engine outlines"),
        (request_("speculative", repeats=0), "--repeats 0: at least 1"),
        (request_("speculative", repeats=10**30), "at most 1000 are timed"),
        (request_("outlines", slow_states=0), "--slow-states 0: at least 1"),
    ):
        with pytest.raises(SettingError, match=message):
            speed(request, RecordedProgress())
    assert engines.log == []
