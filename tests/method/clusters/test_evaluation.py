"""The three scores."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.evaluation import Scores, matched_rows, score


def plain_accuracy(labels: list[int], assignment: list[int]) -> float:
    """The best share of agreement over every one-to-one renaming of clusters."""
    size = 1 + max(*labels, *assignment)
    renamings = permutations(range(size))
    return max(
        sum(names[found] == truth for truth, found in zip(labels, assignment, strict=True)) / len(labels)
        for names in renamings
    )


PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=15)


@given(pairs=PAIRS)
def test_accuracy_is_the_best_one_to_one_renaming(pairs) -> None:
    labels, assignment = (list(column) for column in zip(*pairs, strict=True))
    assert score(labels, assignment).acc == pytest.approx(plain_accuracy(labels, assignment))


@given(pairs=PAIRS, seed=st.integers(0, 99))
def test_renaming_clusters_and_reordering_rows_change_nothing(pairs, seed) -> None:
    labels, assignment = (np.array(column) for column in zip(*pairs, strict=True))
    generator = np.random.default_rng(seed)
    order, names = generator.permutation(len(labels)), generator.permutation(5)
    plain, renamed = score(labels, assignment), score(labels[order], names[assignment[order]])
    assert (renamed.nmi, renamed.acc, renamed.ari) == pytest.approx((plain.nmi, plain.acc, plain.ari))


def test_known_values() -> None:
    assert score(["cat", "cat", "dog"], [7, 7, 3]) == Scores(nmi=1.0, acc=1.0, ari=1.0, rows=3)
    # Two classes of two, split crosswise: no information, half right, below chance.
    crossed = score([0, 0, 1, 1], [0, 1, 0, 1])
    assert (crossed.nmi, crossed.acc, crossed.ari) == pytest.approx((0, 0.5, -0.5))
    # One class of four split in two: the arithmetic mean of entropies ln 2 and 0 halves nothing into 0.
    assert score([0, 0, 1, 1], [0, 0, 1, 2]).nmi == pytest.approx(2 * np.log(2) / (np.log(2) + 1.5 * np.log(2)))


@pytest.mark.parametrize(("labels", "assignment"), [([0, 1], [0]), ([], []), ([[0, 1]], [[0, 1]])])
def test_lists_that_cannot_be_compared_are_refused(labels, assignment) -> None:
    with pytest.raises(InputError, match="two equally long lists"):
        score(labels, assignment)


def test_the_rows_that_match_are_those_in_the_cluster_of_their_class() -> None:
    labels = ["cat", "cat", "cat", "dog", "dog", "bird"]
    # Cluster 7 is for cats, 2 for dogs; no cluster is left for the bird.
    assert matched_rows(labels, [7, 7, 2, 2, 2, 2]).tolist() == [True, True, False, True, True, False]
