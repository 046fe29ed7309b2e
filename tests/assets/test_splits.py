"""Splits and several label columns: learn from some images, score others, by every truth that there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from assets_helpers import computed, materialize, table

from assets.graph import GROWTH
from tac_pipeline.errors import InputError, SettingsError, SourceError
from tac_pipeline.settings.reading import parse_settings

Writer = Callable[..., Path]


@pytest.fixture
def split_store(vector_store: Writer) -> Writer:
    """Sixty vectors in three groups: every third is of the split test, two have none; further labels in pairs."""

    def write(changes: dict[str, Any] | None = None) -> Path:
        path = vector_store(changes)
        images = pl.read_parquet(path.parent / "images.parquet")
        split = ["test" if row % 3 == 0 else "train" for row in range(len(images))]
        split[1] = split[2] = None
        rough = ["warm" if label == images["label"][0] else "cold" for label in images["label"]]
        images.with_columns(split=pl.Series(split), coarse=pl.Series(rough)).write_parquet(
            path.parent / "images.parquet"
        )
        return path

    return write


def test_learned_from_one_split_and_scored_on_the_other(split_store: Writer) -> None:
    path = split_store(
        {"training_set.split": "train", "evaluation.split": "test", "images.labels": ["label", "coarse"]}
    )
    made = materialize(path)
    learned = set(table(path, "training_set")["image_id"])
    splits = dict(table(path, "image_splits").iter_rows())
    assert len(learned) == 38
    assert {splits[image_id] for image_id in learned} == {"train"}
    assert made["image_splits"].artifact.facts["images_of_splits"] == {"train": 38, "test": 20}
    assert made["image_splits"].artifact.facts["without_split"] == 2
    scores = table(path, "evaluation")
    assert scores.select("result", "rows", "split", "labels", "labeled_images", "classes", "clusters").rows() == [
        ("trained", "whole_store", "test", "label", 20, 3, 3),
        ("trained", "whole_store", "test", "coarse", 20, 2, 3),
    ]
    assert scores["acc"][0] == 1
    # Three groups for two classes: no matching one to one has all, each group has images of one class alone.
    assert scores["acc"][1] < 0.8
    assert (scores["many_to_one"][1], scores["homogeneity"][1]) == (1, pytest.approx(1))
    assert made["evaluation"].artifact.facts["trained_store_acc"] == 1


def test_each_of_several_splits_is_scored(split_store: Writer) -> None:
    path = split_store({"evaluation.split": ["train", "test"]})
    materialize(path)
    scores = table(path, "evaluation").filter(pl.col("rows") == "whole_store")
    assert scores.select("split", "labels", "labeled_images").rows() == [("train", "label", 38), ("test", "label", 20)]
    assert len(table(path, "training_set")) == 60


def test_several_splits_are_learned_from_together(split_store: Writer) -> None:
    path = split_store({"training_set.split": ["train", "test"]})
    materialize(path, ["image_manifest", "image_splits", "image_embeddings", "known_labels", "training_set"])
    assert len(table(path, "training_set")) == 58


def test_another_truth_or_split_to_score_learns_nothing(split_store: Writer) -> None:
    materialize(split_store())
    path = split_store({"images.labels": ["coarse"], "evaluation.split": "test"})
    again = computed(materialize(path))
    assert again == {"image_labels", "image_splits", "evaluation"}
    assert table(path, "image_labels")["label"].unique().sort().to_list() == ["cold", "warm"]


def test_a_split_that_changes_is_scored_anew_and_learned_next_time(
    split_store: Writer,
) -> None:
    changes = {"training_set.split": "train", "evaluation.split": "test"}
    path = split_store(changes)
    materialize(path)
    images = pl.read_parquet(path.parent / "images.parquet")
    images.with_columns(split=pl.lit("train").alias("split")).with_columns(
        split=pl.when(pl.int_range(len(images)) < 30).then(pl.lit("test")).otherwise("split")
    ).write_parquet(path.parent / "images.parquet")
    again = computed(materialize(path, [step.name for step in GROWTH], in_force=True))
    assert again == {"image_splits", "evaluation"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"training_set.split": "trial"},
            r"training_set\.split must be a split that has images; got 'trial', and there are: train \(38 images\), "
            r"test \(20 images\)",
        ),
        ({"evaluation.split": ["test", "val"]}, r"evaluation\.split must be a split that has images; got 'val'"),
        (
            {"training_set.split": "test", "clusters.count": 21},
            r"clusters\.count must be at most the number of images to learn from; got 21 and 20",
        ),
    ],
)
def test_a_split_that_cannot_be_used_is_refused_before_images_are_read(
    split_store: Writer, changes: dict[str, Any], sentence: str
) -> None:
    path = split_store(changes)
    with pytest.raises(InputError, match=sentence):
        materialize(path)
    assert not (path.parent / "data" / "small" / "image_embeddings").exists()


def test_columns_that_are_not_there_are_named_by_the_key_that_asks(vector_store: Writer) -> None:
    with pytest.raises(SourceError, match=r"training_set\.split needs a column split in .*images\.parquet"):
        materialize(vector_store({"training_set.split": "train"}))
    with pytest.raises(SourceError, match=r"images\.labels needs a column breed in .*images\.parquet"):
        materialize(vector_store({"images.labels": ["label", "breed"]}))


@pytest.mark.parametrize(
    ("key", "written", "sentence"),
    [
        ("images.labels", "all", r"images\.labels must be none, folder, column or a list of columns; got 'all'"),
        ("images.labels", "[]", r"images\.labels must be none, folder, column or a list of columns"),
        ("images.labels", "[fine, fine]", r"images\.labels must name each column once"),
        ("evaluation.split", "3", r"evaluation\.split must be the name of a split, a list of names, or null"),
        ("evaluation.split", "[]", r"evaluation\.split must be the name of a split, a list of names, or null"),
        ("training_set.split", "[a, 3]", r"training_set\.split must be the name of a split, a list of names, or null"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(key: str, written: str, sentence: str) -> None:
    section, last = key.split(".")
    images = f"images: {{source: b{f', {last}: {written}' if section == 'images' else ''}}}\n"
    more = "" if section == "images" else f"{section}: {{{last}: {written}}}\n"
    with pytest.raises(SettingsError, match=sentence):
        parse_settings(f"store: a\n{images}clusters: {{count: 3}}\n{more}", name="tac.yaml")
