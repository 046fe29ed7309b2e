"""Rows and numbers as requests and answers have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from tac_pipeline.errors import InputError


def number_of(query: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of a query; InputError for anything else."""
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"{name} must be a whole number; got {text!r}")
    return int(text)


def shown_rows(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as the page has them: short names, and no digits that float32 leaves."""
    found = rows.select(
        pl.col("image_id").alias("id"),
        pl.col("content_hash").str.slice(0, 16).alias("hash"),
        pl.col("cluster_id").alias("group"),
        pl.col("confidence").cast(pl.Float64).round(3),
        pl.col("runner_up").alias("second"),
        "curated",
        *([pl.col("score").cast(pl.Float64).round(3)] if "score" in rows.columns else []),
    )
    return found.to_dicts()


def image_ids(asked: dict[str, Any]) -> list[str]:
    """The images that a page names.

    Raises
    ------
    InputError
        They are no list of texts, or none.
    """
    ids = asked.get("images")
    if not isinstance(ids, list) or not ids or not all(isinstance(image, str) for image in ids):
        raise InputError("images must be a list of image_ids, at least one")
    return ids
