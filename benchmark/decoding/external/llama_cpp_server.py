"""llama.cpp's own server on a GGUF file; runs in the environment of ``make speed-engines``.

It prints its address as the first line, or why it has none, and ends with its standard input.
"""

import argparse
import os
import sys

from benchmark.decoding.external.serving import redirected_output

_HOST = "127.0.0.1"


def main(path: str, port: int, context: int, slots: int) -> None:
    """Serve until standard input ends."""
    channel = redirected_output()
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    if hasattr(parameters, "hostnames"):
        parameters.hostnames = [_HOST]
    else:  # releases of 2025
        parameters.hostname = _HOST
    parameters.port = port
    parameters.n_parallel = slots
    parameters.n_ctx = context * slots
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = cores
    parameters.n_gpu_layers = 0
    parameters.endpoint_props = True
    server = xllamacpp.Server(parameters)
    address = getattr(server, "listening_address", None)
    if address is None:  # in the releases before 0.2.7
        print("this release of xllamacpp tells no address", file=channel, flush=True)
        sys.exit(1)
    print(address, file=channel, flush=True)
    sys.stdin.read()


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--slots", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main(**vars(_parsed()))
