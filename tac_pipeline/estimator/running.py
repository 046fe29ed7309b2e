"""What a long call needs beside its work: a bound on its threads, and bars that say how far it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tac_pipeline.errors import InputError
from tac_pipeline.progress import Progress

Told = Callable[[str], Progress | None]


@contextmanager
def threads(n_jobs: int | None) -> Iterator[None]:
    """Bound the threads of numpy, faiss and torch.

    Parameters
    ----------
    n_jobs : int, optional
        None leaves them as they are, -1 is one for each core, -2 one fewer, and so on.
    """
    if n_jobs is None:
        yield
        return
    import torch
    from threadpoolctl import threadpool_limits

    count = n_jobs if n_jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + n_jobs)
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(limits=count):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def bars(verbose: int | bool) -> Iterator[Told]:
    """A callback for each long loop, by the name of what it counts; a bar in a terminal or a notebook if verbose."""
    if not verbose:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    with Bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as shown:

        def told(what: str) -> Progress:
            task = shown.add_task(what, total=None)
            return lambda done, total: shown.update(task, completed=done, total=total)

        yield told


def require_jobs(n_jobs: object) -> None:
    """Raise InputError unless it is None or a whole number other than 0."""
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0):
        raise InputError(f"n_jobs must be a whole number other than 0, or None; got {n_jobs!r}")
