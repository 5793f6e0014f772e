"""Measure what a pass costs on this kind of processor: `python docs/engine_costs.py MODEL`.

Prints a row for `benchmark/decoding/speculative/cost_model.toml`. Run it alone on the machine; the
spread says how far passes are from the fit.
"""

import sys
from datetime import UTC, datetime

import torch

from benchmark.decoding.engines import compile_constraint
from benchmark.decoding.speculative.automaton import Automaton
from benchmark.decoding.speculative.pass_costs import fitted, passes
from benchmark.models.hardware import cpu_kind, cpu_name
from benchmark.models.loading import LoadOptions, load_model
from benchmark.models.location import locate
from benchmark.models.tokenizer_loading import load_tokenizer
from benchmark.tasks import DEFAULT, task_named


def main(name: str, dtype: str = "float32", repeats: str = "5") -> None:
    """Print the row of this kind of processor."""
    location = locate(name)
    tokenizer = load_tokenizer(location)
    model = load_model(location, LoadOptions("cpu", dtype))
    constraint = compile_constraint(task_named(DEFAULT).expression, tokenizer, model)
    automaton = Automaton.from_constraint(constraint, tokenizer.token_bytes)
    sizes = passes(model, automaton, int(repeats), lambda line: print(f"# {line}"))
    costs = fitted(list(sizes))
    threads = torch.get_num_threads()
    print(f"[cpu.kinds.{cpu_kind()}]")
    print(f"fixed = {costs.fixed:.1f}\nper_row = {costs.per_row:.2f}")
    print(f"date = {datetime.now(UTC):%Y-%m-%d}")
    print(f'source = "{cpu_name()}, {threads} threads, torch {torch.__version__}; {name}, {dtype}"')
    print(
        f"# a token takes {1000 * costs.token:.3f} ms; the fit is off by up to "
        f"{100 * costs.spread:.0f} %"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
