"""Kernels that do several operations of a layer at a time, compiled by Numba if it is installed.

They compute what the operations compute, and round where those round.
"""
