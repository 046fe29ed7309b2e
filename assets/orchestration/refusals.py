"""What this project refuses on purpose, as Dagster shows it."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from tac_pipeline.errors import TacError


@contextmanager
def refusals() -> Iterator[None]:
    """Turns a TacError into a failure whose text is the message, without a stack trace of its own."""
    try:
        yield
    except TacError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
