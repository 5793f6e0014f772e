"""The only place that joins the stages: data, prompts, decoding, scoring, counts."""

from benchmark.pipeline.measure import Measured, run
from benchmark.runs.data import load_states, score_files
from benchmark.runs.requests import DataRequest, Progress, Quiet, RunRequest

__all__ = [
    "DataRequest",
    "Measured",
    "Progress",
    "Quiet",
    "RunRequest",
    "load_states",
    "run",
    "score_files",
]
