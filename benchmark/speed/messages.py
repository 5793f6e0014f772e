"""What is said between the measuring process and an engine's: JSON, an object a line.

Only the standard library is used: engines run in environments that may lack all else.
"""

from typing import NotRequired, TypedDict


class Setup(TypedDict):
    """What an engine is opened with.

    ``row`` has what the table of engines says of it. ``model`` is a folder, a file or an identifier
    as the engine takes it; ``grammar`` is ``expression`` in the form of llama.cpp;
    ``max_model_len`` is room for prompt and answer; ``stops`` are the ids that end an answer.
    """

    engine: str
    row: dict[str, object]
    model: str
    dtype: str
    device: str
    max_new_tokens: int
    max_model_len: int
    expression: str
    grammar: str
    stops: list[int]
    tuned: dict[str, int | bool]


class Work(TypedDict):
    """Prompts to decode, as token ids, and the answers that are expected to each.

    ``batch_size`` is for engines that do not choose it themselves.
    """

    batch_size: int
    prompts: list[list[int]]
    expected: list[list[int]]


class Taken(TypedDict):
    """What decoding took: seconds by the clock, forward passes, and tokens computed in them.

    None where the engine does not tell. ``answers`` are in the order of the prompts, without
    what ended them. ``processor`` is seconds of processor time, of all threads. ``stood_in`` says
    which engine did the work of the one asked for, and why. ``gpu_memory`` is the most bytes that
    it held on a GPU, where it ran on one.
    """

    seconds: float
    processor: float
    passes: int | None
    tokens: int | None
    answers: list[list[int]]
    peak_memory: NotRequired[int]
    stood_in: NotRequired[str]
    gpu_memory: NotRequired[int]


class CopyWork(TypedDict):
    """A folder that a copy of the model is written to, as safetensors."""

    folder: str


class Copied(TypedDict):
    """The folder of the copy."""

    folder: str


class LimitWork(TypedDict):
    """Answers whose open choices are counted, while the model's products are timed."""

    answers: list[list[int]]


class LimitTaken(TypedDict):
    """Seconds of the linear layers a token, of the head a choice, and choices an answer.

    ``reading`` is seconds of the layers for a token alone: of reading all their weights.
    """

    layers: float
    head: float
    reading: float
    choices: float


class AnswerDifference(TypedDict):
    """Where two answers to a prompt part: after ``before``, ``ours`` and ``theirs`` follow."""

    prompt: list[int]
    before: list[int]
    ours: int
    theirs: int


class MarginWork(TypedDict):
    """Places at which two engines chose different tokens."""

    differences: list[AnswerDifference]


class MarginTaken(TypedDict):
    """For each place, by how much the logit of ``theirs`` is above that of ``ours``."""

    margins: list[float]
