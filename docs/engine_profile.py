"""Where the default engine's time goes: `python docs/engine_profile.py MODEL [STATES] [DTYPE]`.

Prints a table of torch's operations, as docs/log.md has it. Loading, and a first run of a few
states that makes buffers, are not in it.
"""

import sys

from torch.profiler import ProfilerActivity, profile

from benchmark.boxes.answers import answer_expression
from benchmark.boxes.world import BOXES
from benchmark.decoding.engine import Limits
from benchmark.decoding.engines import create_engine
from benchmark.models.loading import LoadOptions, load_model, load_tokenizer
from benchmark.models.location import locate
from benchmark.pipeline.answers import correct_answer
from benchmark.pipeline.data import load_states
from benchmark.pipeline.requests import DataRequest
from benchmark.prompts.rendering import prompt
from benchmark.prompts.settings import PromptSettings

_ROWS = 16


def main(model_name: str, count: str = "64", dtype: str = "float32") -> None:
    """Profile the first evaluated states of seed 0 on the CPU, in batches of 32."""
    location = locate(model_name)
    tokenizer = load_tokenizer(location)
    model = load_model(location, LoadOptions("cpu", dtype))
    states = load_states(DataRequest(states=int(count)))
    prompts = [prompt(tokenizer, each.description, PromptSettings()).token_ids for each in states]
    expected = {
        ids: tuple(correct_answer(tokenizer, state))
        for ids, state in zip(prompts, states, strict=True)
    }
    engine = create_engine(
        "speculative", model, tokenizer, Limits(32, 256), answer_expression(BOXES), expected
    )
    list(engine.generate(prompts[:4]))
    with profile(activities=[ProfilerActivity.CPU]) as taken:
        list(engine.generate(prompts))
    print(
        taken.key_averages().table(
            sort_by="self_cpu_time_total", row_limit=_ROWS, max_name_column_width=44
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
