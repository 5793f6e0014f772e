"""The benchmark's engines in a harness: ineffective settings are refused; texts equal a run's."""

from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.export.harness import boxes
from benchmark.export.harness import model as harness_model
from benchmark.export.harness.model import HarnessModel
from benchmark.runs.measure import run
from benchmark.runs.requests import DataRequest, Quiet, RunRequest
from benchmark.runs.settings import Settings
from benchmark.tasks import TASKS

MODEL = Path(__file__).parents[3] / "fixtures" / "models" / "copy-a"


@pytest.mark.parametrize(
    "settings",
    [
        Settings(prompt_format="chat"),
        Settings(prompt_variant="table2"),
        Settings(instruction_role="system"),
    ],
)
def test_prompt_settings_are_refused(settings: Settings) -> None:
    """A harness passes prompts as text: settings that would have no effect are refused."""
    with pytest.raises(SettingError, match="has no effect in a harness"):
        HarnessModel(str(MODEL), settings)


def test_warnings_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Warnings of libraries go to the harness's log, each once."""
    monkeypatch.setattr(
        harness_model, "messages_of", lambda loaded: (f"from {type(loaded).__name__}",)
    )
    HarnessModel(str(MODEL), Settings(device="cpu"))
    logged = [message for message in caplog.messages if message.startswith("warning while")]
    assert logged == [
        "warning while loading the tokenizer: from TransformersTokenizer",
        "warning while loading the weights: from LlamaForCausalLM",
    ]


@pytest.mark.parametrize("task", TASKS)
def test_texts_are_those_of_a_run(task: str, tmp_path: Path) -> None:
    """On every task, the texts equal a run's, however the prompts are split into calls."""
    documents = boxes.documents(states=3, task=task)
    assert {document["task"] for document in documents} == {task}
    model = HarnessModel(str(MODEL), Settings(device="cpu"), task)
    prompts = [document["prompt"] for document in documents]
    texts = [*model.generate(prompts[:1]), *model.generate(prompts[1:])]
    request = RunRequest(str(MODEL), tmp_path, DataRequest(states=3, task=task), device="cpu")
    measured = run(request, Quiet())
    assert texts == list(measured.texts)
    for number, (document, text) in enumerate(zip(documents, texts, strict=True)):
        scored = boxes.score_text(document["sample_id"], document["description"], text, task)
        outcomes = [scores.outcomes[number] for scores in measured.scores.values()]
        columns = [outcomes[0].numops, *(outcome.correct for outcome in outcomes)]
        assert scored == [list(map(int, row)) for row in zip(*columns, strict=True)]
