"""Choosing the device: the one that the settings name, or the fastest that exists."""

from __future__ import annotations

from tac_pipeline.errors import TacError


def choose_device(asked: str) -> str:
    """A torch device: auto is cuda, else mps, else cpu.

    Parameters
    ----------
    asked : str
        auto, cpu, cuda, cuda:N or mps.

    Raises
    ------
    TacError
        The named device does not exist.
    """
    import torch

    if asked == "cpu":
        return asked
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    if asked == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    number = int(asked.partition(":")[2] or 0)
    if (asked.startswith("cuda") and number < cuda) or (asked == "mps" and mps):
        return asked
    there = ", ".join([*(f"cuda:{place}" for place in range(cuda)), *(["mps"] if mps else []), "cpu"])
    raise TacError(f"encoder.device must be one that is there; got {asked}, and there is {there}. Use auto or cpu.")
