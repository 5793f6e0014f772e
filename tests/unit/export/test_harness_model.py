"""Our engines behind a harness: settings that reach no prompt are refused, texts are a run's."""

from pathlib import Path

import pytest

from benchmark.errors import SettingError
from benchmark.export.harness import boxes
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
def test_the_words_of_a_prompt_are_the_task_s(settings: Settings) -> None:
    """A harness hands prompts over as text: a setting that cannot change them is refused."""
    with pytest.raises(SettingError, match="a harness asks with the task's own prompt"):
        HarnessModel(str(MODEL), settings)


@pytest.mark.parametrize("task", TASKS)
def test_texts_are_those_of_a_run(task: str, tmp_path: Path) -> None:
    """On every task, in the order of the prompts, however they are handed over."""
    documents = boxes.documents(states=3, task=task)
    assert {document["task"] for document in documents} == {task}
    model = HarnessModel(str(MODEL), Settings(device="cpu"), task)
    prompts = [document["prompt"] for document in documents]
    texts = [*model.texts(prompts[:1]), *model.texts(prompts[1:])]
    request = RunRequest(str(MODEL), tmp_path, DataRequest(states=3, task=task), device="cpu")
    measured = run(request, Quiet())
    assert texts == list(measured.texts)
    for number, (document, text) in enumerate(zip(documents, texts, strict=True)):
        told = boxes.queries(document["sample_id"], document["description"], text, task)
        outcomes = [measured.scores[by].outcomes[number] for by in measured.scores]
        columns = [outcomes[0].numops, *(outcome.correct for outcome in outcomes)]
        assert told == [list(map(int, row)) for row in zip(*columns, strict=True)]
