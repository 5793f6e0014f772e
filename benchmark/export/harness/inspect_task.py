"""The boxes task and this benchmark's engines for Inspect, which finds them by entry point."""

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
from benchmark.export.harness.boxes import (
    GROUPS,
    ScoredQueries,
    accuracy,
    documents,
    score_text,
)
from benchmark.export.harness.model import HarnessModel
from benchmark.runs.settings import settings_of
from benchmark.tasks import DEFAULT


def _accuracy(group: str) -> Metric:
    """Return the metric of a group of queries, under its name: an average over queries."""

    @metric(name=group)
    def named() -> Metric:
        def measure(scores: list[SampleScore]) -> float:
            return accuracy(map(_scored_queries, scores), group)

        return measure

    return named()


@scorer(metrics=[_accuracy(group) for group in GROUPS])
def boxes() -> Scorer:
    """Score an answer by the share of the state's queries that are right by the main score.

    The metadata has every query with its result by every score.
    """

    async def score(state: TaskState, target: Target) -> Score:  # noqa: ARG001  # gold from the state
        document, text = state.metadata, state.output.completion
        scored = score_text(document["sample_id"], document["description"], text, document["task"])
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
    options = {"password": password, "seed": seed, "states": states, "split": split, "task": task}
    samples = [
        Sample(
            id=document["id"],
            input=document["prompt"],
            target=document["answer"],
            metadata={name: document[name] for name in ("task", "sample_id", "description")},
        )
        for document in documents(data, **options)
    ]
    return Task(
        dataset=MemoryDataset(samples, name="entity-tracking-boxes"),
        solver=generate(),
        scorer=boxes(),
        config=GenerateConfig(max_tokens=named_protocol("default").limits.max_new_tokens),
    )


@modelapi("entity-tracking")
def entity_tracking() -> type[ModelAPI]:
    """``--model entity-tracking/NAME -M model_path=...``: a model with constrained decoding."""
    return InspectModel


class InspectModel(ModelAPI):  # type: ignore[misc]  # inspect_ai is untyped here
    """A model that collects single prompts and decodes them in batches of the engine's size.

    The settings, passed with ``-M``, are those of ``run``. The maximum number of tokens is the
    protocol's, not the task's.
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
        """Load the model of that name, or the one at ``model_path``."""
        super().__init__(model_name, base_url, api_key, [], config)
        self._model = HarnessModel(model_path or model_name, settings_of(settings))
        self._waiting: list[tuple[str, asyncio.Future[str]]] = []
        self._worker: asyncio.Task[None] | None = None

    def max_connections(self) -> int:
        """Return the engine's batch size."""
        return self._model.settings.limits.batch_size

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002  # Inspect's name
        tools: list[ToolInfo],  # noqa: ARG002
        tool_choice: ToolChoice,  # noqa: ARG002
        config: GenerateConfig,
    ) -> ModelOutput:
        """Return the answer to a prompt of one message.

        Raises:
            SettingError: for several messages, sampling, or stop sequences.
        """
        if len(input) != 1 or config.stop_seqs or config.temperature:
            raise SettingError(
                "the model entity-tracking decodes one prompt greedily up to its end of sequence; "
                "keep the task's messages, stop_seqs and temperature, or use another model"
            )
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((input[0].text, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return ModelOutput.from_content(self.model_name, await answer)

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(_BATCHING_DELAY)  # collect concurrent prompts
            batch, self._waiting = self._waiting, []
            try:
                prompts = [text for text, _ in batch]
                texts = await asyncio.to_thread(self._model.generate, prompts)
            except Exception as error:  # noqa: BLE001  # raised again for every waiting prompt
                for _, answer in batch:
                    answer.set_exception(error)
            else:
                for (_, answer), text in zip(batch, texts, strict=True):
                    answer.set_result(text)


_BATCHING_DELAY = 0.05
"""In seconds."""


def _scored_queries(score: SampleScore) -> ScoredQueries:
    queries: ScoredQueries = (score.score.metadata or {})["queries"]
    return queries
