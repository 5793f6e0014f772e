"""Messages between the measuring process and an engine's process: one JSON object per line.

Only the standard library is used, as engines run in environments that may lack other packages.
"""

from typing import NotRequired, TypedDict, final


class EngineSetup(TypedDict):
    """The first message, which opens an engine.

    ``row`` is its row in the table of engines. ``model`` is a folder, a file or an identifier, as
    the engine takes it, and ``tokenizer`` the folder of its tokenizer if that is elsewhere;
    ``grammar`` is ``expression`` as a llama.cpp grammar; ``max_model_len``
    is the number of tokens of prompt and answer; ``stops`` are the ids that end an answer.
    ``products`` names the matrix-product backend of an engine that does not choose it itself;
    ``fused`` is false if it may not use compiled kernels.
    ``external`` has the fields of :class:`~benchmark.decoding.connection.ExternalSettings`.
    """

    engine: str
    row: dict[str, object]
    model: str
    tokenizer: NotRequired[str]
    dtype: str
    device: str
    max_new_tokens: int
    max_model_len: int
    expression: str
    grammar: str
    stops: list[int]
    tuned: dict[str, int | bool | str | dict[str, str]]
    products: NotRequired[str]
    fused: NotRequired[bool]
    external: NotRequired[dict[str, int | str | None]]


@final
class DecodeRequest(TypedDict):
    """Prompts to decode, as token ids, and the expected answer to each.

    ``batch_size`` is ignored by engines that batch by themselves. ``states`` has the number of the
    state of each prompt, for messages.
    """

    batch_size: int
    states: list[int]
    prompts: list[list[int]]
    expected: list[list[int]]


class DecodeReply(TypedDict):
    """Answers, and what decoding them took.

    ``seconds`` are by the clock, ``processor`` seconds of processor time of all threads.
    ``passes`` are forward passes and ``tokens`` the tokens computed in them; None if the engine
    does not report them. ``answers`` are in the order of the prompts, without end tokens.
    ``stood_in`` says what differs from the request, such as another engine, and why.
    ``gpu_memory`` is the peak GPU memory in bytes, if the engine ran on a GPU.
    ``library_warnings`` are those of loading the weights, if there were any. ``products`` names the
    matrix-product backend that the engine used, as ``speculative+NAME`` does, if it says, and
    ``kernels`` what compiled its kernels, if it used any.
    """

    seconds: float
    processor: float
    passes: int | None
    tokens: int | None
    answers: list[list[int]]
    peak_memory: NotRequired[int]
    stood_in: NotRequired[str]
    products: NotRequired[str]
    kernels: NotRequired[str]
    library_warnings: NotRequired[list[str]]
    gpu_memory: NotRequired[int]


@final
class StreamRequest(TypedDict):
    """Prompts to decode, whose answers are sent one by one as they are finished.

    With ``values`` each comes with its log-probabilities. With ``forget`` the engine's prefix cache
    is cleared before.
    """

    stream: list[list[int]]
    values: NotRequired[bool]
    forget: NotRequired[bool]


class StreamedAnswer(TypedDict):
    """One answer: the index of its prompt, its ids, and whether the model ended it.

    ``values`` are the log-probabilities of its ids, before the constraint.
    """

    index: int
    token_ids: list[int]
    finished: bool
    values: NotRequired[list[float]]


@final
class ScoreRequest(TypedDict):
    """Prompts with their answers, whose log-probabilities are sent one by one.

    ``starts`` are the lengths of the prompts; ``likeliest`` is how many of the likeliest tokens
    are sent at each place, in addition to the answer's own. ``forget`` is as in
    :class:`StreamRequest`.
    """

    score: list[list[int]]
    starts: list[int]
    likeliest: int
    forget: NotRequired[bool]


class ScoredRow(TypedDict):
    """The log-probabilities along one answer, by token id, one list of pairs per place."""

    index: int
    places: list[list[tuple[int, float]]]


class CopyRequest(TypedDict):
    """The folder to write a copy of the model to, as safetensors."""

    folder: str


class CopyReply(TypedDict):
    """The folder of the copy."""

    folder: str


class LimitRequest(TypedDict):
    """Answers whose choices are counted when the model's matrix products are timed."""

    answers: list[list[int]]


class LimitReply(TypedDict):
    """Seconds of the linear layers per token, of the head per choice, and choices per answer.

    ``reading`` is the seconds of the layers for a single token: of reading all their weights.
    ``attention`` has, for each window of attention in tokens, None if it is unlimited, the seconds
    per query and key of all layers with it. ``products`` are the names of the matrix-product
    backends that were timed. ``disturbed`` says whether other programs disturbed their timing.
    """

    layers: float
    attention: list[tuple[int | None, float]]
    head: float
    reading: float
    choices: float
    products: NotRequired[list[str]]
    disturbed: NotRequired[bool]


class MarginPosition(TypedDict):
    """Where two answers to a prompt differ: after ``before``, one has ``ours``, one ``theirs``."""

    prompt: list[int]
    before: list[int]
    ours: int
    theirs: int


class MarginRequest(TypedDict):
    """Positions at which two engines chose different tokens, and the first one's whole answers.

    ``answers`` are one per position, without end tokens.
    """

    differences: list[MarginPosition]
    answers: NotRequired[list[list[int]]]


class MarginReply(TypedDict):
    """For each position, the logit of ``theirs`` minus that of ``ours``.

    ``certified`` says of each of the answers, if there were any, whether it is a greedy answer
    (:mod:`benchmark.decoding.certificate`).
    """

    margins: list[float]
    certified: NotRequired[list[bool]]
