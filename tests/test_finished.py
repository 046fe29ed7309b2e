"""A finished store in Python: its tables, its vectors row by row, and the clusterer that its heads make."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import tac
from ready_store import ready
from small_store import grouped_vectors
from two_facts import two_facts, write_two_facts

import tac_pipeline
from tac_pipeline.errors import ArtifactMissing, ArtifactOutdated, InputError, StoreError
from tac_pipeline.finished import FinishedStore, StoreVectors

Writer = Callable[..., Path]


@pytest.fixture
def settings(vector_store: Writer) -> Path:
    """A store of vectors that was run and published."""
    return ready(vector_store())


def test_tables_and_vectors_have_one_order(settings: Path) -> None:
    found = tac_pipeline.load(settings.parent / "data" / "small")
    vectors, truth = grouped_vectors()
    assert found.images["image_id"].to_list() == found.assignments["image_id"].to_list()
    assert found.images["label"].to_list() == [f"group {group}" for group in truth]
    assert found.images.columns[:5] == ["image_id", "width", "height", "error", "content_hash"]
    assert found.clusters["size"].sum() == len(truth)
    assert found.assignments.columns[:3] == ["image_id", "cluster_id", "cluster_name"]
    assert set(found.assignments["cluster_name"]) == set(found.clusters["name"])
    assert found.vectors.shape == np.asarray(found.vectors).shape == vectors.shape
    np.testing.assert_allclose(np.asarray(found.vectors), vectors, atol=2e-3)
    np.testing.assert_array_equal(found.vectors[5:8], np.asarray(found.vectors)[5:8])
    np.testing.assert_array_equal(found.vectors[[40, 2]], np.asarray(found.vectors)[[40, 2]])
    np.testing.assert_array_equal(found.vectors[-1], np.asarray(found.vectors)[-1])
    mask = np.array(truth) == 1
    np.testing.assert_array_equal(found.vectors[mask], np.asarray(found.vectors)[mask])
    assert "60 images, 3 clusters" in repr(found) and "the newest result" in repr(found)
    assert "60 x 16" in repr(found.vectors)


def test_the_clusterer_says_of_vectors_what_the_store_says(settings: Path) -> None:
    found = tac_pipeline.load(settings)
    clusterer = found.estimator
    ids = clusterer.cluster_ids_[clusterer.predict(found.vectors)]
    np.testing.assert_array_equal(ids, found.assignments["cluster_id"].to_numpy())
    np.testing.assert_array_equal(clusterer.labels_, clusterer.predict(found.vectors))
    confidence = found.assignments["confidence"].to_numpy()
    np.testing.assert_allclose(clusterer.predict_confidence(found.vectors), confidence, atol=1e-5)
    similarity = np.take_along_axis(clusterer.transform(found.vectors), clusterer.labels_[:, None], axis=1)[:, 0]
    np.testing.assert_allclose(similarity, found.assignments["similarity"].to_numpy(), atol=1e-3)
    names = dict(found.clusters.select("cluster_id", "name").iter_rows())
    assert clusterer.cluster_names_ == [names[id_] for id_ in clusterer.cluster_ids_.tolist()]
    new, truth = grouped_vectors(3)
    said = clusterer.predict(new)
    assert len({(group, int(cluster)) for group, cluster in zip(truth, said, strict=True)}) == 3
    assert "tac-clusters" in clusterer._repr_html_()
    with pytest.raises(InputError, match="merge_clusters needs the fitted vectors"):
        clusterer.merge_clusters([[0, 1]])


def test_it_can_be_saved(settings: Path, tmp_path: Path) -> None:
    found = tac_pipeline.load(settings)
    found.estimator.save(tmp_path / "heads")
    loaded = tac_pipeline.TextAidedClustering.load(tmp_path / "heads")
    np.testing.assert_array_equal(loaded.predict_proba(found.vectors), found.estimator.predict_proba(found.vectors))
    np.testing.assert_array_equal(loaded.cluster_ids_, found.estimator.cluster_ids_)


@pytest.mark.parametrize(
    "place", ["tac.yaml", ".", "data/small", "data/small/published", "data/small/published/latest"]
)
def test_a_store_is_found_from_any_of_its_places(settings: Path, place: str) -> None:
    found = tac_pipeline.load(str(settings.parent / place))
    assert isinstance(found, FinishedStore)
    assert found.version == (1 if "published" in place else None)
    assert found.clusters.height == 3
    assert found.assignments.height == found.images.height == len(found.vectors) == 60
    assert found.estimator.n_clusters_ == 3


def test_what_is_published_is_not_what_was_run_since(settings: Path, vector_store: Writer) -> None:
    vector_store({"corrections": "corrections.yaml", "publish": "manual"})
    ids = tac_pipeline.load(settings).clusters["cluster_id"].to_list()
    (settings.parent / "corrections.yaml").write_text(f"merge: [[{ids[0]}, {ids[1]}]]\n", encoding="utf-8")
    assert tac("run", "-s", settings).exit_code == 0
    newest = tac_pipeline.load(settings)
    assert newest.clusters.height == newest.estimator.n_clusters_ == 2
    assert set(newest.estimator.cluster_ids_[newest.estimator.labels_].tolist()) == {ids[0], ids[2]}
    np.testing.assert_allclose(newest.estimator.predict_proba(newest.vectors).sum(axis=1), 1, atol=1e-5)
    published = tac_pipeline.load(settings.parent / "data" / "small" / "published")
    assert published.clusters.height == published.estimator.n_clusters_ == 3


def test_groupings_are_stores_of_the_same_images(vector_store: Writer, tmp_path: Path) -> None:
    write_two_facts(tmp_path)
    time_of_day = {"group_by": ["day", "night"], "clusters": {"count": 2}}
    settings = ready(vector_store({"groupings": {"time": time_of_day}, "keep_versions": 1}))
    found = tac_pipeline.load(settings)
    assert list(found.groupings) == ["time"]
    time = found.groupings["time"]
    assert time.clusters.height == 2
    _, _, truth = two_facts()
    # By a criterion: vectors are seen from it before the head gets them.
    said = time.estimator.predict(time.vectors)
    assert len(set(zip(truth.tolist(), said.tolist(), strict=True))) == 2
    np.testing.assert_array_equal(time.estimator.cluster_ids_[said], time.assignments["cluster_id"].to_numpy())
    assert tac_pipeline.load(tmp_path / "data" / "small.time").images.equals(found.images)


def test_an_image_that_cannot_be_read_is_a_row_of_nan() -> None:
    view = pl.DataFrame({"error": ["gone"], "shard": ["a"], "row": [0]})
    vectors = StoreVectors(view, Path("nowhere"), encoder="any")
    assert vectors.shape == (1, 0)
    assert len(vectors) == 1


def test_places_without_a_result_are_told(settings: Path, vector_store: Writer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere must be a store's data folder .*; there is nothing"):
        tac_pipeline.load(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="of its stores, give one: small"):
        tac_pipeline.load(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="it holds no artifacts of a run"):
        tac_pipeline.load(tmp_path / "empty")
    other = vector_store({"store": "other"}, name="other.yaml")
    with pytest.raises(ArtifactMissing, match=r"other has no result yet: no assignments. `tac run` makes it"):
        tac_pipeline.load(other)
    shutil.rmtree(tmp_path / "data" / "small" / "clusters")
    with pytest.raises(ArtifactMissing, match="small has no result yet"):
        tac_pipeline.load(tmp_path / "data" / "small")
    (tmp_path / "published").mkdir()
    with pytest.raises(ArtifactMissing, match=r"nothing is published in .*published yet"):
        tac_pipeline.load(tmp_path / "published")


def test_published_tables_elsewhere_have_no_vectors(settings: Path, tmp_path: Path) -> None:
    shutil.copytree(settings.parent / "data" / "small" / "published", tmp_path / "there" / "published", symlinks=True)
    found = tac_pipeline.load(tmp_path / "there" / "published")
    assert found.assignments.height == 60
    with pytest.raises(ArtifactOutdated, match=r"is not in .*there any more, or damaged"):
        _ = found.vectors
