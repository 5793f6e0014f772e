"""Profile the default engine: `python docs/engine_profile.py MODEL [STATES] [DTYPE]`.

Prints a table of torch's operations, as in docs/log.md. Loading and a first run of a few states,
which allocates buffers, are not included.
"""

import sys
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.runs.data import load_states
from benchmark.runs.evaluation import Decoder, Questions
from benchmark.runs.requests import DataRequest, RunRequest
from benchmark.runs.resolution import resolve
from benchmark.tasks import DEFAULT, task_named

_ROWS = 16


def main(model_name: str, count: str = "64", dtype: str = "float32") -> None:
    """Profile the first evaluated states of seed 0 on the CPU, in batches of 32."""
    location = locate(model_name)
    tokenizer = load_tokenizer(location)
    model = load_model(location, LoadOptions("cpu", dtype))
    states = load_states(DataRequest(states=int(count)))
    request = RunRequest(model_name, Path("unused"), device="cpu", dtype=dtype)
    questions = Questions(task_named(DEFAULT), resolve(request), tokenizer, states)
    decoder = Decoder(questions.settings, questions.task.expression, tokenizer, model)
    engine = decoder.engine(questions.settings.limits, questions.drafts)
    list(engine.generate(questions.prompt_ids[:4]))
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        list(engine.generate(questions.prompt_ids))
    print(
        trace.key_averages().table(
            sort_by="self_cpu_time_total", row_limit=_ROWS, max_name_column_width=44
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
