"""Runs on disk: what is finished stays finished."""
