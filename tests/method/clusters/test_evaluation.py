"""The scores beside scikit-learn's and plain versions, and the confusion table behind them."""

import time
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    balanced_accuracy_score,
    confusion_matrix,
    homogeneity_completeness_v_measure,
    normalized_mutual_info_score,
    recall_score,
)

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.evaluation import class_recalls, commonest_rows, confuse, matched_rows, score


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


def drawn(seed: int, *, rows: int, classes: int, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of unequal sizes, and clusters that hold most of a class each."""
    generator = np.random.default_rng(seed)
    labels = (classes * generator.random(rows) ** 2).astype(np.int64)
    return labels, np.where(generator.random(rows) < 0.6, labels % clusters, generator.integers(clusters, size=rows))


@pytest.mark.parametrize("clusters", [1, 3, 20, 35], ids=lambda clusters: f"{clusters}-clusters")
@pytest.mark.parametrize("rows", [25, 700, 5000])
def test_the_scores_are_those_of_scikit_learn(rows, clusters) -> None:
    labels, groups = drawn(rows + clusters, rows=rows, classes=20, clusters=clusters)
    found = score(labels, groups)
    assert found.nmi == pytest.approx(normalized_mutual_info_score(labels, groups))
    assert found.ami == pytest.approx(adjusted_mutual_info_score(labels, groups), abs=1e-9)
    assert found.ari == pytest.approx(adjusted_rand_score(labels, groups))
    assert (found.homogeneity, found.completeness, found.nmi) == pytest.approx(
        homogeneity_completeness_v_measure(labels, groups)
    )
    table = confuse(labels, groups)
    # What a classifier would have said: each cluster's class under the matching, and -1 for a cluster without one.
    said = np.full(clusters, -1)
    for row, column in enumerate(table.partners):
        if column >= 0:
            said[table.clusters[column]] = table.classes[row]
    recalls = recall_score(labels, said[groups], labels=np.unique(labels), average=None, zero_division=0)
    assert class_recalls(labels, groups) == pytest.approx(dict(zip(np.unique(labels), recalls, strict=True)))
    assert found.recall == pytest.approx(recalls.mean())
    assert found.acc == pytest.approx((said[groups] == labels).mean())
    commonest = np.array([np.bincount(labels[groups == group], minlength=1).argmax() for group in range(clusters)])
    assert found.many_to_one == pytest.approx((commonest[groups] == labels).mean())
    assert commonest_rows(labels, groups).mean() == found.many_to_one
    assert (found.rows, found.classes, found.clusters) == (rows, len(set(labels)), len(set(groups)))


@given(pairs=PAIRS)
def test_ami_of_a_few_rows_is_that_of_scikit_learn(pairs) -> None:
    labels, assignment = (list(column) for column in zip(*pairs, strict=True))
    # It divides one rounding error by another where each row is a cluster: 1 or -1.
    expected = adjusted_mutual_info_score(labels, assignment)
    ours = score(labels, assignment).ami
    assert ours == pytest.approx(abs(expected) if ours == 1 else expected, abs=1e-9)


def test_a_thousand_classes_take_no_time() -> None:
    labels, groups = drawn(0, rows=50_000, classes=1000, clusters=1000)
    started = time.process_time()
    score(labels, groups)
    # 0.1 s; scikit-learn's own sum for the AMI alone takes 2 s.
    assert time.process_time() - started < 1


def test_recalls_have_the_names_of_the_classes() -> None:
    labels, groups = ["cat", "cat", "cat", "dog", "dog", "bird"], [7, 7, 2, 2, 2, 2]
    # The mean over classes, where ACC is the mean over rows; no cluster is left for the bird.
    assert class_recalls(labels, groups) == pytest.approx({"bird": 0, "cat": 2 / 3, "dog": 1})
    assert score(labels, groups).recall == pytest.approx(5 / 9)
    said = np.array(["dog", "cat"])[np.array(groups) // 7]
    assert score(labels, groups).recall == pytest.approx(balanced_accuracy_score(labels, said))


def test_the_confusion_table_counts_and_puts_partners_on_the_diagonal() -> None:
    table = confuse(["cat", "cat", "dog", "dog", "dog", "cat"], [7, 7, 2, 2, 5, 5])
    assert (table.classes.tolist(), table.clusters.tolist()) == (["cat", "dog"], [2, 5, 7])
    np.testing.assert_array_equal(table.counts, [[0, 1, 2], [2, 1, 0]])
    np.testing.assert_array_equal(table.counts[:, table.order], [[2, 0, 1], [0, 2, 1]])
    # With the same names on both sides it is scikit-learn's.
    labels, groups = drawn(3, rows=200, classes=6, clusters=6)
    np.testing.assert_array_equal(confuse(labels, groups).counts, confusion_matrix(labels, groups))


def test_known_values() -> None:
    perfect = score(["cat", "cat", "dog"], [7, 7, 3])
    assert (perfect.nmi, perfect.acc, perfect.ari, perfect.rows) == (1, 1, 1, 3)
    assert (perfect.ami, perfect.many_to_one, perfect.recall) == pytest.approx((1, 1, 1))
    # Each class split in two: every cluster is pure, and half of each class is in a cluster of its own.
    split = score([0, 0, 1, 1], [0, 1, 2, 3])
    assert (split.acc, split.many_to_one, split.recall, split.homogeneity) == pytest.approx((0.5, 1, 0.5, 1))
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


@pytest.mark.parametrize("rows", [2, 10, 15, 101, 1000])
def test_a_cluster_for_each_row_is_all_or_nothing(rows: int) -> None:
    assert score(list(range(rows)), list(range(rows))).ami == 1
