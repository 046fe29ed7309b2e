"""Digests: that of columns is that of their lists, so that what was made before is found again."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline import digest as module
from tac_pipeline.digest import digest, digest_of_columns

TEXTS = st.lists(st.none() | st.text(alphabet='a",\\\n\x00\x1f\x7fü\u2028😀', max_size=3), max_size=12)


@pytest.fixture(autouse=True)
def three_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_ROWS", 3)


@given(texts=st.lists(TEXTS, max_size=3), numbers=st.lists(st.none() | st.integers(-9, 9)), other=st.text())
def test_columns_have_the_digest_of_their_lists(
    texts: list[list[str | None]], numbers: list[int | None], other: str
) -> None:
    columns = [pl.Series(column, dtype=pl.String) for column in texts]
    found = digest_of_columns([other, *columns, pl.Series(numbers, dtype=pl.Int64)])
    assert found == digest([other, *texts, numbers])


def test_where_a_text_ends_counts() -> None:
    columns = [['a","b'], ["a", "b"], ['a"', '"b'], ["", ""], [""], []]
    assert len({digest_of_columns([pl.Series(column, dtype=pl.String)]) for column in columns}) == len(columns)
