"""Showing this project's own errors in Dagster."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from tac_pipeline.errors import TacError


@contextmanager
def refusals() -> Iterator[None]:
    """Turns a TacError into a failure with only the message, without a stack trace."""
    try:
        yield
    except TacError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
