"""The boxes task and our engines for Inspect (``inspect_ai``), which finds them by entry point."""

import asyncio
from typing import Any

from inspect_ai import Task
from inspect_ai import task as inspect_task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    modelapi,
)
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState, generate
from inspect_ai.tool import ToolChoice, ToolInfo

from benchmark.decoding.protocols import protocol as named_protocol
from benchmark.errors import SettingError
from benchmark.export.harness.boxes import GROUPS, Queries, accuracy, documents, queries
from benchmark.export.harness.model import HarnessModel
from benchmark.runs.settings import settings_of
from benchmark.tasks import DEFAULT


def _accuracy(group: str) -> Metric:
    """The accuracy of a group of queries, under its name; a query counts once, not a state."""

    @metric(name=group)
    def named() -> Metric:
        def measure(scores: list[SampleScore]) -> float:
            return accuracy(map(_queries, scores), group)

        return measure

    return named()


@scorer(metrics=[_accuracy(group) for group in GROUPS])
def boxes() -> Scorer:
    """Our scorer: the share of a state's queries that are right, with each of them beside it.

    The share is by the main score; each query has what is right by every score.
    """

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001  # the gold follows
        asked, text = state.metadata, state.output.completion
        scored = queries(asked["sample_id"], asked["description"], text, asked["task"])
        return Score(value=accuracy([scored], "acc"), answer=text, metadata={"queries": scored})

    return score


@inspect_task
def entity_tracking_boxes(
    data: str | None = None,
    password: str | None = None,
    seed: int | None = None,
    states: int | None = None,
    split: str = "test",
    task: str = DEFAULT,
) -> Task:
    """Seven boxes, up to twelve operations: what does each box contain?"""
    samples = [
        Sample(
            id=document["id"],
            input=document["prompt"],
            target=document["answer"],
            metadata={name: document[name] for name in ("task", "sample_id", "description")},
        )
        for document in documents(data, password, seed, states, split, task)
    ]
    return Task(
        dataset=MemoryDataset(samples, name="entity-tracking-boxes"),
        solver=generate(),
        scorer=boxes(),
        config=GenerateConfig(max_tokens=named_protocol("default").limits.max_new_tokens),
    )


@modelapi("entity-tracking")
def entity_tracking() -> type[ModelAPI]:
    """``--model entity-tracking/NAME -M model_path=...``: a model under our constraint."""
    return InspectModel


class InspectModel(ModelAPI):  # type: ignore[misc]  # inspect_ai is untyped here
    """Prompts that come one by one are decoded together, as many as the engine's batch.

    The settings are those of ``run``, given with ``-M``; the protocol says how many tokens an
    answer may have, not the task.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # as ModelAPI has it
        model_path: str | None = None,
        **settings: Any,  # noqa: ANN401  # checked by settings_of
    ) -> None:
        """Load the model named, or the one at ``model_path``."""
        super().__init__(model_name, base_url, api_key, [], config)
        self._model = HarnessModel(model_path or model_name, settings_of(settings))
        self._waiting: list[tuple[str, asyncio.Future[str]]] = []
        self._worker: asyncio.Task[None] | None = None

    def max_connections(self) -> int:
        """As many as are decoded together."""
        return self._model.settings.limits.batch_size

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002  # Inspect's name
        tools: list[ToolInfo],  # noqa: ARG002
        tool_choice: ToolChoice,  # noqa: ARG002
        config: GenerateConfig,
    ) -> ModelOutput:
        """The answer to a prompt of one message.

        Raises:
            SettingError: for a chat, or settings that sample or stop.
        """
        if len(input) != 1 or config.stop_seqs or config.temperature:
            raise SettingError(
                "entity-tracking decodes one prompt greedily up to its own end; leave messages, "
                "stop_seqs and temperature as the task has them, or take another model"
            )
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((input[0].text, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return ModelOutput.from_content(self.model_name, await answer)

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(_PATIENCE)  # for those that come at the same time
            batch, self._waiting = self._waiting, []
            try:
                texts = await asyncio.to_thread(self._model.texts, [text for text, _ in batch])
            except Exception as error:  # noqa: BLE001  # each who waits is told
                for _, answer in batch:
                    answer.set_exception(error)
            else:
                for (_, answer), text in zip(batch, texts, strict=True):
                    answer.set_result(text)


_PATIENCE = 0.05
"""Seconds."""


def _queries(score: SampleScore) -> Queries:
    found: Queries = (score.score.metadata or {})["queries"]
    return found
