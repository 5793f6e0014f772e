"""Faults of one stage each, put into the running pipeline; ``fixtures/faults.toml`` names them.

Each takes pytest's monkeypatch, the request of a run without a fault and an empty folder, and
gives the request to run. What is replaced is what the fault would be in: a library's function, a
file of the model, a function of the project, or a setting.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig
from transformers.cache_utils import DynamicLayer

from benchmark import tasks
from benchmark.decoding import constraint, outlines_engine
from benchmark.decoding.speculative.sequence_state import SequenceState
from benchmark.fingerprints import record_run as fingerprint
from benchmark.fingerprints import stages
from benchmark.models import tokenizer as tokenizers
from benchmark.prompts import rendering
from benchmark.records import Answer, Outcome, State, TokenIds
from benchmark.runs import evaluation
from benchmark.runs.requests import RunRequest
from benchmark.scoring.counts import Counts

Injector = Callable[[pytest.MonkeyPatch, RunRequest, Path], RunRequest]


def changed_objects(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The first object of the list has another name."""
    return _states(patch, run, lambda states: [_renamed(state) for state in states])


def shuffled_states(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The same states come in another order."""
    return _states(patch, run, lambda states: states[::-1])


def wrong_numops(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """An operation too many is counted for the first box."""

    def miscounted(state: State) -> State:
        first, *rest = state.queries
        return replace(state, queries=(replace(first, numops=first.numops + 1), *rest))

    return _states(patch, run, lambda states: [miscounted(state) for state in states])


def lost_states(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The last state is missing."""
    return _states(patch, run, lambda states: states[:-1])


def chat_template(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The prompt is put into a chat template, which the model has by now."""
    copied = _copied(run, folder)
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"
    (folder / "model" / "chat_template.jinja").write_text(template)
    return replace(copied, prompt_format="chat")


def other_demonstrations(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The two solved examples change places."""
    task = tasks.TASKS[tasks.DEFAULT]
    given = task.demonstrations
    other = replace(given, examples=given.examples[::-1])
    patch.setitem(tasks.TASKS, task.name, replace(task, demonstrations=other))
    return run


def line_end(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The prompt ends with a line break, as Table 2 of the paper prints it."""
    completion = rendering.completion

    def broken(*given: object) -> str:
        return completion(*given) + "\n"  # type: ignore[arg-type]

    patch.setattr(rendering, "completion", broken)
    return run


def bos_lost(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The tokenizer names no BOS any more."""
    patch.setattr(tokenizers.TransformersTokenizer, "bos_id", None)
    return run


def bos_doubled(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """BOS is put before a prompt that has one."""
    with_one = rendering.with_one_bos

    def with_two(ids: TokenIds, bos_id: int | None) -> TokenIds:
        once = with_one(ids, bos_id)
        return (once[0], *once)

    patch.setattr(rendering, "with_one_bos", with_two)
    return run


def other_merges(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Every prompt's last word is cut in front of its last letter before it becomes tokens."""
    encode = tokenizers.TransformersTokenizer.encode

    def cut(self: tokenizers.TransformersTokenizer, text: str) -> TokenIds:
        end = text.rstrip().rstrip(".")
        return encode(self, text[: len(end) - 1]) + encode(self, text[len(end) - 1 :])

    patch.setattr(tokenizers.TransformersTokenizer, "encode", cut)
    return run


def lost_space(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Tokens that begin with a space are taken for ones that do not."""
    return _vocabulary(patch, run, lambda known: {k.lstrip(b" ") or k: v for k, v in known.items()})


def mask_off_by_one(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The last token that has a word in it is never allowed."""

    def without_last(known: Mapping[bytes, list[int]]) -> dict[bytes, list[int]]:
        last = max(i for text, ids in known.items() for i in ids if text.strip().isalpha())
        return {
            text: kept for text, ids in known.items() if (kept := [i for i in ids if i != last])
        }

    return _vocabulary(patch, run, without_last)


def constraint_raises(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The library's constructor takes other arguments now."""

    def changed(*_: object) -> None:
        raise TypeError("Vocabulary() takes 3 positional arguments but 2 were given")

    patch.setattr(constraint, "Vocabulary", changed)
    return run


def unconstrained(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Decoding without the constraint."""
    return replace(run, engine="unconstrained", max_new_tokens=40)


def other_weight(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """One matrix of the model's file is a tenth larger."""
    copied = _copied(run, folder)
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    name = min(name for name in weights if "mlp" in name)
    save_file(weights | {name: weights[name] * 1.1}, path, {"format": "pt"})
    return copied


def float16(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Half precision in place of float32."""
    return replace(run, dtype="float16")


def bfloat16(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Brain floats in place of float32."""
    return replace(run, dtype="bfloat16")


def weights_read_otherwise(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The same file is read with the rows of one matrix turned by one."""

    def turned(model: torch.nn.Module) -> None:
        weight = next(p for name, p in model.named_parameters() if "mlp" in name)
        weight.data = weight.data.roll(1, 0)

    return _model(patch, run, turned)


def other_positions(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The configuration turns positions more slowly."""
    copied = _copied(run, folder)
    _edit(
        folder / "model" / "config.json",
        rope_parameters={"rope_theta": 5e4, "rope_type": "default"},
    )
    return copied


def rounding_kernel(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Every layer's feed-forward part comes out rounded to half precision."""

    def rounding(model: torch.nn.Module) -> None:
        for name, module in model.named_modules():
            if name.endswith("mlp"):
                module.register_forward_hook(lambda _, __, out: out.bfloat16().float())

    return _model(patch, run, rounding)


def right_padding(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Prompts of a batch are padded behind, where the answer should begin."""
    encode = outlines_engine._IdTokenizer.encode

    def padded(self: Any, prompt: Any, **_: object) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        ids, mask = encode(self, prompt)
        shifts = [len(row) - int(row.sum()) for row in mask]
        turned = [
            torch.stack([row.roll(-by) for row, by in zip(each, shifts, strict=True)])
            for each in (ids, mask)
        ]
        return turned[0], turned[1]

    patch.setattr(outlines_engine._IdTokenizer, "encode", padded)
    return run


def stale_cache(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The cache gives the keys of the token before in place of the newest."""
    update = DynamicLayer.update

    def stale(
        self: DynamicLayer,
        keys: torch.Tensor,
        values: torch.Tensor,
        *more: object,
        **others: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        every, with_them = update(self, keys, values, *more, **others)
        if keys.shape[-2] == 1:
            every = torch.cat([every[..., :-1, :], every[..., -2:-1, :]], dim=-2)
        return every, with_them

    patch.setattr(DynamicLayer, "update", stale)
    return run


def drafts_believed(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """A draft is taken whatever the model would have chosen in its place."""
    verify = SequenceState.verify

    def believe(self: SequenceState, answers: Sequence[int], *more: Any) -> None:  # noqa: ANN401
        only = self._rules.automaton.single_token
        drafts = [p.draft for p in self._positions if only[p.state] is None]
        believed = zip(answers, drafts, strict=True)
        verify(self, [given if draft is None else draft for given, draft in believed], *more)

    patch.setattr(SequenceState, "verify", believe)
    return run


def penalty(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """A penalty of the model's own settings takes effect: no two tokens come together twice."""
    patch.setattr(
        outlines_engine,
        "GenerationConfig",
        lambda **given: GenerationConfig(no_repeat_ngram_size=2, **given),
    )
    return run


def other_stop(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """The model's generation settings name one of its words as an end too."""
    copied = _copied(run, folder)
    definition = json.loads((folder / "model" / "tokenizer.json").read_text())
    words = definition["model"]["vocab"].items()
    stops = [1, *(i for word, i in words if word.endswith("contains"))]
    _edit(folder / "model" / "generation_config.json", eos_token_id=stops)
    return copied


def cut_answers(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Eight tokens are all that an answer gets, and nothing refuses it."""
    patch.setattr(evaluation.Questions, "check_limit", lambda _: None)
    return replace(run, max_new_tokens=8)


def other_normal_form(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """An empty box is taken for one that was not answered for."""
    task = tasks.TASKS[tasks.DEFAULT]
    parse = task.answer_parser

    def parsed(text: str, boxes: int) -> Answer:
        answer = parse(text, boxes)
        return replace(answer, contents=tuple(box or None for box in answer.contents))

    patch.setitem(tasks.TASKS, task.name, replace(task, answer_parser=parsed))
    return run


def ignored_box(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Whatever is said of the boxes 1 and 6 counts as right."""
    score = tasks.Task.score

    def lenient(outcome: Outcome) -> Outcome:
        given = enumerate(outcome.correct)
        return replace(outcome, correct=tuple(right or box in {1, 6} for box, right in given))

    def scored(
        task: tasks.Task, answers: list[Answer], states: list[State]
    ) -> dict[str, tuple[Outcome, ...]]:
        by_score = score(task, answers, states)
        return {by: tuple(map(lenient, some)) for by, some in by_score.items()}

    patch.setattr(tasks.Task, "score", scored)
    return run


def wrong_counts(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Counts are put down one numops too high."""
    count = _now(stages, "count")
    patch.setattr(
        stages,
        "count",
        lambda outcomes: Counts({n + 1: t for n, t in count(outcomes).by_numops.items()}),
    )
    return run


def _states(
    patch: pytest.MonkeyPatch, run: RunRequest, change: Callable[[list[State]], list[State]]
) -> RunRequest:
    load = _now(fingerprint, "load_states")
    patch.setattr(fingerprint, "load_states", lambda data: change(load(data)))
    return run


def _renamed(state: State) -> State:
    """One object of the state has another name, in the text and in gold."""
    old = next(name for query in state.queries for name in query.gold)
    queries = tuple(
        replace(query, gold=tuple("zebra" if name == old else name for name in query.gold))
        for query in state.queries
    )
    description = state.description.replace(f"the {old}", "the zebra")
    return replace(state, description=description, queries=queries)


def _vocabulary(
    patch: pytest.MonkeyPatch,
    run: RunRequest,
    change: Callable[[Mapping[bytes, list[int]]], dict[bytes, list[int]]],
) -> RunRequest:
    make = _now(constraint, "Vocabulary")
    patch.setattr(constraint, "Vocabulary", lambda eos, known: make(eos, change(known)))
    return run


def _model(
    patch: pytest.MonkeyPatch, run: RunRequest, change: Callable[[torch.nn.Module], None]
) -> RunRequest:
    load = _now(fingerprint, "load_model")

    def changed(*given: Any) -> Any:  # noqa: ANN401
        model = load(*given)
        change(model)
        return model

    patch.setattr(fingerprint, "load_model", changed)
    return run


def _now(module: ModuleType, name: str) -> Any:  # noqa: ANN401
    """What the module has under a name that it imported itself."""
    return getattr(module, name)


def _copied(run: RunRequest, folder: Path) -> RunRequest:
    shutil.copytree(run.model, folder / "model")
    return replace(run, model=str(folder / "model"))


def _edit(path: Path, **entries: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
