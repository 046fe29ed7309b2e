"""Room on the disk: what the first run of a store writes, and a refusal before the work when it does not fit."""

from __future__ import annotations

from pathlib import Path

from tac_pipeline.errors import StoreError
from tac_pipeline.files import free_bytes

# Vectors are float16. A row of all tables of an image, its typical pictures on the page, and scratch copies.
BYTES_A_VALUE = 2
BYTES_AN_IMAGE = 1_000
# The page, the vocabulary, Dagster's records.
BYTES_AT_LEAST = 100_000_000


def bytes_needed(*, images: int, nouns: int, dim: int) -> int:
    """About how much a run writes that embeds so many images and nouns."""
    return BYTES_AT_LEAST + (images + nouns) * dim * BYTES_A_VALUE + images * BYTES_AN_IMAGE


def require_space(folder: Path, needed: int) -> None:
    """Refuse a run that would fill the disk; raises StoreError with both sizes."""
    free = free_bytes(folder)
    if free < needed:
        raise StoreError(
            f"this run writes about {needed / 1e6:,.0f} MB to {folder}, and its disk has {free / 1e6:,.0f} MB left. "
            "Make room, or set `data` to a folder on another disk."
        )
