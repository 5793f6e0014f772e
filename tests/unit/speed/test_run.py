"""Engines against each other, with engines that are none: who is asked when, and what is kept."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from transformers import PreTrainedModel

from benchmark.errors import BenchmarkError, SettingError
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.speed import engine_pool as field
from benchmark.speed.run import SpeedRequest, speed

STATES = 3


class Told:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.said: list[str] = []
        self.begun: list[tuple[str, int]] = []

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.append(text)

    def start(self, total: int) -> None:
        """Keep nothing."""

    def begin(self, label: str, round_number: int) -> None:
        """Keep it."""
        self.begun.append((label, round_number))

    def advance(self) -> None:
        """Keep nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model is."""
    return tmp_path_factory.mktemp("speed")


@pytest.fixture
def request_(
    folder: Path,
    tiny_model: Callable[..., PreTrainedModel],
    tiny_tokenizer: Callable[..., TransformersTokenizer],
) -> Callable[..., SpeedRequest]:
    """A request for a tiny model's folder, whose weights nobody reads."""
    if not (folder / "config.json").exists():
        tokenizer = tiny_tokenizer()
        tiny_model("llama", len(tokenizer.raw), tokenizer.eos_id).save_pretrained(folder)
        tokenizer.raw.save_pretrained(folder)
    data = DataRequest(seed=1, states=STATES)
    run = RunRequest(str(folder), Path("unused"), data, device="cpu", dtype="float32")
    return lambda engines, **more: SpeedRequest(run, engines, **{"repeats": 2, **more})


@pytest.fixture
def engines(fakes: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Fake engines in the place of processes."""
    made: SimpleNamespace = fakes("fake_engines").FakeEngines()
    monkeypatch.setattr(field, "EngineProcess", made.process)
    return made


def test_rounds_take_turns(request_: Callable[..., SpeedRequest], engines: SimpleNamespace) -> None:
    """Every engine and the limit in each round, every second round backwards; rows with ratios."""
    engines.seconds = lambda label, size: 6.0 if label == "outlines" else 2.0
    told = Told()
    race = speed(request_("speculative,outlines"), told)
    limit = "arithmetic limit in float32"
    first = [("speculative", 0), ("outlines", 0), (limit, 0)]
    assert told.begun == [*first, (limit, 1), ("outlines", 1), ("speculative", 1)]
    ours, paper = race.figures()
    assert (ours.seconds, ours.times, ours.passes, ours.tokens) == (2.0, 3.0, 3.0, 5.0)
    assert (ours.same, ours.compared, paper.times) == (STATES, STATES, 1.0)
    assert ours.to_limit == pytest.approx(2.0 / race.limits["float32"].seconds)
    # The tokens of the prompts that are not shared, and of the mirrored prompts as answers.
    lengths = [len(prompt) for prompt in race.prompts]
    assert race.limits["float32"].tokens > sum(lengths) / STATES
    assert race.limits["float32"].choices == STATES
    assert not race.stopped
    assert engines.open == []


def test_slow_engines_take_some_of_the_states(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """Seconds are by the states that each was given, and answers compared where both have one."""
    race = speed(request_("speculative,outlines", slow_states=2), Told())
    ours, paper = race.figures()
    assert (ours.states, paper.states) == (STATES, 2)
    assert (ours.seconds, paper.seconds, ours.same, ours.compared) == (1.0, 1.0, 2, 2)


def test_an_engine_that_fails_leaves_the_others(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """In opening, and in a round: its reason is said, and the table has the rest."""

    def fault(label: str, what: str, before: int) -> BenchmarkError | None:
        if label == "unconstrained" and what == "open":
            return BenchmarkError("unconstrained: no weights")
        if label == "speculative" and (what, before) == ("measure", 2):
            return BenchmarkError("speculative: broke")
        return None

    engines.fault = fault
    told = Told()
    race = speed(request_("speculative,unconstrained,outlines"), told)
    rows = {row.spec.label: row for row in race.figures()}
    assert rows["unconstrained"].failure == "unconstrained: no weights"
    assert (rows["speculative"].rounds, rows["speculative"].failure) == (1, "speculative: broke")
    assert (rows["outlines"].rounds, rows["outlines"].failure) == (2, None)
    assert {"unconstrained: no weights", "speculative: broke"} <= set(told.said)


@pytest.mark.parametrize("interrupted", ["speculative", "limit (float32)"])
def test_ctrl_c_keeps_the_finished_rounds(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace, interrupted: str
) -> None:
    """Whoever was at work is ended and asked no more; the first round's rows are whole."""
    what = "limit" if interrupted.startswith("limit") else "measure"
    # An engine's first request is that of its opening.
    second = 1 if what == "limit" else 2
    engines.fault = lambda label, asked, before: (
        KeyboardInterrupt() if (label, asked, before) == (interrupted, what, second) else None
    )
    race = speed(request_("outlines,speculative"), Told())
    assert race.stopped
    rows = {row.spec.label: row for row in race.figures()}
    assert rows["speculative"].rounds == 1
    assert rows["outlines"].seconds == 1.0
    assert "float32" in race.limits
    assert engines.open == []


def test_what_fails_beside_the_engines_costs_none_of_them(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """A limit or margins that cannot be had are said; Ctrl-C while they are measured, too."""
    engines.odd = {"speculative": 9}
    for kind, raised in (
        ("limit", BenchmarkError("no room")),
        ("margins", BenchmarkError("no room")),
        ("margins", KeyboardInterrupt()),
    ):
        engines.fault = lambda label, what, before, kind=kind, raised=raised: (
            raised if what == kind else None
        )
        told = Told()
        race = speed(request_("outlines,speculative", verify=True), told)
        assert [row.rounds for row in race.figures()] == [2, 2]
        assert race.stopped is isinstance(raised, KeyboardInterrupt)
        assert race.stopped or any(said.endswith("no room") for said in told.said)
        assert len(race.partings["speculative"]) == STATES
        assert engines.open == []


def test_verify_measures_margins_of_what_differs(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """An engine with other answers has its first differing tokens, with margins in both dtypes."""
    engines.odd = {"speculative:bfloat16": 9}
    race = speed(request_("outlines,speculative:bfloat16,speculative", verify=True), Told())
    found = race.partings["speculative:bfloat16"]
    assert [one.state for one in found] == list(range(STATES))
    assert all(one.ours == 9 for one in found)
    assert [one.token for one in found] == [len(prompt) for prompt in race.prompts]
    assert {(one.margin, one.margin_float32) for one in found} == {(0.25, 0.25)}
    assert race.partings["speculative"] == []
    engines_told = race.as_json()["engines"]
    assert isinstance(engines_told, list)
    assert len(engines_told[1]["partings"]) == STATES


def test_requests_that_cannot_be_met(
    request_: Callable[..., SpeedRequest], engines: SimpleNamespace
) -> None:
    """Each is refused before any engine is opened."""
    for request, message in (
        (request_("speculative", verify=True), "--verify needs the engine outlines"),
        (request_("speculative", repeats=0), "--repeats 0: at least 1"),
        (request_("outlines", slow_states=0), "--slow-states 0: at least 1"),
    ):
        with pytest.raises(SettingError, match=message):
            speed(request, Told())
    assert engines.log == []
