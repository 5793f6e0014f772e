"""The only place that joins the stages: data, prompts, decoding, scoring, counts."""

from benchmark.pipeline.data import evaluate, load_states, score_files
from benchmark.pipeline.measure import Measured, run
from benchmark.pipeline.requests import DataRequest, Progress, Quiet, RunRequest

__all__ = [
    "DataRequest",
    "Measured",
    "Progress",
    "Quiet",
    "RunRequest",
    "evaluate",
    "load_states",
    "run",
    "score_files",
]
