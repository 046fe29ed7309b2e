"""The demo's benchmark: what a group is judged by, and which pictures count where."""

import numpy as np
import polars as pl
import pytest

from benchmarks.demo import namings, zero_shot
from benchmarks.naming import Naming
from tac_pipeline.demo.kinds import KINDS


def test_a_group_is_judged_by_the_kind_that_most_of_its_pictures_are_of() -> None:
    clusters = pl.DataFrame({"cluster_id": [0, 1, 2], "name": ["feline", "bus", None], "size": [3, 1, 0]})
    assigned = pl.DataFrame({"image_id": ["a", "b", "c", "d", "e"], "cluster_id": [0, 0, 0, 1, None]})
    labels = pl.DataFrame({"image_id": ["a", "b", "c", "d", "e"], "label": ["cat", "rabbit", "cat", "car", "car"]})
    assert namings(clusters, assigned, labels) == [
        Naming(0, "feline", "cat", pytest.approx(2 / 3), 3, "hypernym"),
        Naming(1, "bus", "car", 1.0, 1, "other"),
    ]


def test_zero_shot_counts_each_part_apart() -> None:
    kinds = np.eye(len(KINDS), dtype=np.float32)
    place = {kind: n for n, kind in enumerate(KINDS)}
    pictures = pl.DataFrame({"label": ["cat", "cat", "duck", "duck"], "style": ["flat", "woodcut", "flat", "woodcut"]})
    vectors = kinds[[place["cat"], place["bus"], place["duck"], place["cat"]]]
    shares = [(n_pictures, share) for _, n_pictures, share in zero_shot(vectors, pictures, kinds)]
    assert shares == [(2, 0.5), (1, 1.0), (1, 0.0), (2, 0.5)]
