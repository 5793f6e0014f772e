"""Faults of one stage each, injected into the running benchmark and listed in faults.toml.

Each function takes pytest's monkeypatch, the request of a run without a fault and an empty folder,
and returns the request to run. It replaces a library's function, a file of the model, a function of
the benchmark, or a setting.
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
from fakes.json_files import edit_json

Injector = Callable[[pytest.MonkeyPatch, RunRequest, Path], RunRequest]


def changed_objects(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Rename the first object of each state."""
    return _states(patch, run, lambda states: [_renamed(state) for state in states])


def shuffled_states(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Reverse the order of the states."""
    return _states(patch, run, lambda states: states[::-1])


def wrong_numops(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Count one operation too many for the first box."""

    def miscounted(state: State) -> State:
        first, *rest = state.queries
        return replace(state, queries=(replace(first, numops=first.numops + 1), *rest))

    return _states(patch, run, lambda states: [miscounted(state) for state in states])


def lost_states(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Drop the last state."""
    return _states(patch, run, lambda states: states[:-1])


def chat_template(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Put the prompt into a chat template that was added to the model."""
    copied = _copied(run, folder)
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"
    (folder / "model" / "chat_template.jinja").write_text(template)
    return replace(copied, prompt_format="chat")


def other_demonstrations(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Swap the two demonstrations."""
    task = tasks.TASKS[tasks.DEFAULT]
    demonstrations = task.demonstrations
    other = replace(demonstrations, examples=demonstrations.examples[::-1])
    patch.setitem(tasks.TASKS, task.name, replace(task, demonstrations=other))
    return run


def line_end(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """End the prompt with a line break, as in Table 2 of the paper."""
    completion = rendering.completion

    def with_line_break(*arguments: object) -> str:
        return completion(*arguments) + "\n"  # type: ignore[arg-type]

    patch.setattr(rendering, "completion", with_line_break)
    return run


def bos_lost(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Remove the tokenizer's BOS."""
    patch.setattr(tokenizers.TransformersTokenizer, "bos_id", None)
    return run


def bos_doubled(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Add a second BOS before a prompt that has one."""
    with_one = rendering.with_one_bos

    def with_two(ids: TokenIds, bos_id: int | None) -> TokenIds:
        once = with_one(ids, bos_id)
        return (once[0], *once)

    patch.setattr(rendering, "with_one_bos", with_two)
    return run


def other_merges(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Tokenize the last letter of every prompt's last word separately."""
    encode = tokenizers.TransformersTokenizer.encode

    def cut(self: tokenizers.TransformersTokenizer, text: str) -> TokenIds:
        end = text.rstrip().rstrip(".")
        return encode(self, text[: len(end) - 1]) + encode(self, text[len(end) - 1 :])

    patch.setattr(tokenizers.TransformersTokenizer, "encode", cut)
    return run


def lost_space(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Treat tokens with a leading space as tokens without one."""
    return _vocabulary(patch, run, lambda ids: {k.lstrip(b" ") or k: v for k, v in ids.items()})


def mask_off_by_one(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Never allow the last token that contains a word."""

    def without_last(vocabulary: Mapping[bytes, list[int]]) -> dict[bytes, list[int]]:
        last = max(i for text, ids in vocabulary.items() for i in ids if text.strip().isalpha())
        return {
            text: kept
            for text, ids in vocabulary.items()
            if (kept := [i for i in ids if i != last])
        }

    return _vocabulary(patch, run, without_last)


def constraint_raises(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Change the arguments of the library's constructor."""

    def changed(*_: object) -> None:
        raise TypeError("Vocabulary() takes 3 positional arguments but 2 were given")

    patch.setattr(constraint, "Vocabulary", changed)
    return run


def unconstrained(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Decode without the constraint."""
    return replace(run, engine="unconstrained", max_new_tokens=40)


def other_weight(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Multiply one matrix in the model's file by 1.1."""
    copied = _copied(run, folder)
    path = folder / "model" / "model.safetensors"
    weights = load_file(path)
    name = min(name for name in weights if "mlp" in name)
    save_file(weights | {name: weights[name] * 1.1}, path, {"format": "pt"})
    return copied


def float16(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Use half precision instead of float32."""
    return replace(run, dtype="float16")


def bfloat16(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Use bfloat16 instead of float32."""
    return replace(run, dtype="bfloat16")


def weights_read_otherwise(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Load the same file with the rows of one matrix rotated by one."""

    def rotate(model: torch.nn.Module) -> None:
        weight = next(p for name, p in model.named_parameters() if "mlp" in name)
        weight.data = weight.data.roll(1, 0)

    return _model(patch, run, rotate)


def other_positions(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Change the base of the rotary position embedding in the configuration."""
    copied = _copied(run, folder)
    edit_json(
        folder / "model" / "config.json",
        rope_parameters={"rope_theta": 5e4, "rope_type": "default"},
    )
    return copied


def rounding_kernel(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Round the output of every layer's feed-forward part to bfloat16."""

    def rounding(model: torch.nn.Module) -> None:
        for name, module in model.named_modules():
            if name.endswith("mlp"):
                module.register_forward_hook(lambda _, __, out: out.bfloat16().float())

    return _model(patch, run, rounding)


def right_padding(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Pad the prompts of a batch on the right, where the answer should begin."""
    encode = outlines_engine._IdTokenizer.encode

    def padded(self: Any, prompt: Any, **_: object) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
        ids, mask = encode(self, prompt)
        shifts = [len(row) - int(row.sum()) for row in mask]
        shifted = [
            torch.stack([row.roll(-by) for row, by in zip(rows, shifts, strict=True)])
            for rows in (ids, mask)
        ]
        return shifted[0], shifted[1]

    patch.setattr(outlines_engine._IdTokenizer, "encode", padded)
    return run


def stale_cache(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Return the previous token's keys from the cache instead of the newest."""
    update = DynamicLayer.update

    def stale(
        self: DynamicLayer,
        keys: torch.Tensor,
        values: torch.Tensor,
        *arguments: object,
        **options: object,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        all_keys, all_values = update(self, keys, values, *arguments, **options)
        if keys.shape[-2] == 1:
            all_keys = torch.cat([all_keys[..., :-1, :], all_keys[..., -2:-1, :]], dim=-2)
        return all_keys, all_values

    patch.setattr(DynamicLayer, "update", stale)
    return run


def drafts_believed(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Accept every draft without comparing it with the model's choice."""
    verify = SequenceState.verify

    def accept(self: SequenceState, answers: Sequence[int], *more: Any) -> None:  # noqa: ANN401
        only = self._rules.automaton.single_token
        drafts = [p.draft for p in self._positions if only[p.state] is None]
        choices = zip(answers, drafts, strict=True)
        accepted = [answer if draft is None else draft for answer, draft in choices]
        verify(self, accepted, *more)

    patch.setattr(SequenceState, "verify", accept)
    return run


def penalty(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Apply a repetition penalty of the model's settings: no bigram occurs twice."""
    patch.setattr(
        outlines_engine,
        "GenerationConfig",
        lambda **settings: GenerationConfig(no_repeat_ngram_size=2, **settings),
    )
    return run


def other_stop(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Add a word's token to the end-of-sequence tokens of the model's generation settings."""
    copied = _copied(run, folder)
    definition = json.loads((folder / "model" / "tokenizer.json").read_text())
    words = definition["model"]["vocab"].items()
    stops = [1, *(i for word, i in words if word.endswith("contains"))]
    edit_json(folder / "model" / "generation_config.json", eos_token_id=stops)
    return copied


def cut_answers(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Limit answers to eight tokens, without the check of the limit."""
    patch.setattr(evaluation.Questions, "check_limit", lambda _: None)
    return replace(run, max_new_tokens=8)


def other_normal_form(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Parse an empty box as a box without an answer."""
    task = tasks.TASKS[tasks.DEFAULT]
    parse = task.answer_parser

    def parsed(text: str, boxes: int) -> Answer:
        answer = parse(text, boxes)
        return replace(answer, contents=tuple(box or None for box in answer.contents))

    patch.setitem(tasks.TASKS, task.name, replace(task, answer_parser=parsed))
    return run


def ignored_box(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Score every answer about boxes 1 and 6 as right."""
    score = tasks.Task.score

    def lenient(outcome: Outcome) -> Outcome:
        boxes = enumerate(outcome.correct)
        return replace(outcome, correct=tuple(right or box in {1, 6} for box, right in boxes))

    def scored(
        task: tasks.Task, answers: list[Answer], states: list[State]
    ) -> dict[str, tuple[Outcome, ...]]:
        by_score = score(task, answers, states)
        return {name: tuple(map(lenient, outcomes)) for name, outcomes in by_score.items()}

    patch.setattr(tasks.Task, "score", scored)
    return run


def wrong_counts(patch: pytest.MonkeyPatch, run: RunRequest, folder: Path) -> RunRequest:
    """Count outcomes under a numops that is one too high."""
    count = _attribute(stages, "count")
    patch.setattr(
        stages,
        "count",
        lambda outcomes: Counts({n + 1: t for n, t in count(outcomes).by_numops.items()}),
    )
    return run


def _states(
    patch: pytest.MonkeyPatch, run: RunRequest, change: Callable[[list[State]], list[State]]
) -> RunRequest:
    load = _attribute(fingerprint, "load_states")
    patch.setattr(fingerprint, "load_states", lambda data: change(load(data)))
    return run


def _renamed(state: State) -> State:
    """Rename one object of the state, in the description and in the gold contents."""
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
    make = _attribute(constraint, "Vocabulary")
    patch.setattr(constraint, "Vocabulary", lambda eos, ids: make(eos, change(ids)))
    return run


def _model(
    patch: pytest.MonkeyPatch, run: RunRequest, change: Callable[[torch.nn.Module], None]
) -> RunRequest:
    load = _attribute(fingerprint, "load_model")

    def changed(*arguments: Any) -> Any:  # noqa: ANN401
        model = load(*arguments)
        change(model)
        return model

    patch.setattr(fingerprint, "load_model", changed)
    return run


def _attribute(module: ModuleType, name: str) -> Any:  # noqa: ANN401
    """Return a name that the module imported, with its type unchecked."""
    return getattr(module, name)


def _copied(run: RunRequest, folder: Path) -> RunRequest:
    shutil.copytree(run.model, folder / "model")
    return replace(run, model=str(folder / "model"))
