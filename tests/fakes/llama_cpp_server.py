"""Serve a GGUF file with llama.cpp's own server: python llama_cpp_server.py FILE [PORT].

A program of its own, for an environment with xllamacpp. It prints the address and ends with its
standard input.
"""

import os
import sys

import xllamacpp


def main(path: str, port: int = 0) -> None:
    """Serve until standard input ends."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_parallel = 1
    parameters.n_ctx = 1024
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = cores
    parameters.n_gpu_layers = 0
    parameters.endpoint_props = True
    server = xllamacpp.Server(parameters)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
