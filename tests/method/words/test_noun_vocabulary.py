"""The noun vocabulary against a plain version."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import plain_vocabulary, random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.words.noun_vocabulary import choose_noun_vocabulary


@given(
    n_nouns=st.integers(1, 40),
    n_centers=st.integers(1, 8),
    nouns_per_center=st.integers(1, 6),
    chunk_rows=st.integers(1, 45),
    seed=st.integers(0, 99),
)
def test_it_equals_the_plain_version_in_any_chunks(n_nouns, n_centers, nouns_per_center, chunk_rows, seed) -> None:
    nouns, centers = random_unit_rows(n_nouns, 5, seed), random_unit_rows(n_centers, 5, seed + 1)
    found = choose_noun_vocabulary(nouns, centers, nouns_per_center=nouns_per_center, chunk_rows=chunk_rows)
    plain = plain_vocabulary(nouns, centers, nouns_per_center)
    assert found.rows.tolist() == sorted(plain)
    assert found.center.tolist() == [plain[row][0] for row in found.rows]
    np.testing.assert_allclose(found.confidence, [plain[row][1] for row in found.rows], rtol=1e-5)
    assert found.n_centers_without_noun == n_centers - len({center for center, _ in plain.values()})


def test_a_center_keeps_its_surest_nouns_and_may_own_none() -> None:
    centers = np.eye(3, dtype=np.float32)
    nouns = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.6, 0.8, 0], [0.9, 0.1, 0]], dtype=np.float32)
    found = choose_noun_vocabulary(nouns, centers, nouns_per_center=2)
    assert found.rows.tolist() == [0, 2, 3]
    assert found.center.tolist() == [0, 1, 0]
    assert found.n_centers_without_noun == 1


def test_of_equally_sure_nouns_the_first_stays() -> None:
    nouns = np.repeat(np.eye(2, dtype=np.float32)[:1], 4, axis=0)
    found = choose_noun_vocabulary(nouns, np.eye(2, dtype=np.float32), nouns_per_center=2, chunk_rows=1)
    assert found.rows.tolist() == [0, 1]


def test_other_encoders_and_impossible_counts_are_refused() -> None:
    nouns, centers = random_unit_rows(4, 5, 0), random_unit_rows(2, 6, 0)
    with pytest.raises(InputError, match="same width; got 5 and 6"):
        choose_noun_vocabulary(nouns, centers, nouns_per_center=5)
    with pytest.raises(InputError, match="nouns_per_center must be at least 1; got 0"):
        choose_noun_vocabulary(nouns, nouns, nouns_per_center=0)
