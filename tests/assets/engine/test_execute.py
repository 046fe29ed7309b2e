"""Steps: what runs again after which change, what is refused, and that nothing is lost."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from assets_helpers import computed, materialize, table
from small_store import DIM, grouped_vectors, write_vectors
from staleness import COUNTERPARTS_DOWN

from assets.engine.execute import execute, open_store
from assets.graph import GROWTH, STEPS, find
from assets.images import sample_images
from assets.lookups.status import State, all_status, steps_to_run
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, ArtifactOutdated, EncoderError, InputError, StoreError
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.schemas import IMAGE_EMBEDDINGS

Writer = Callable[..., Path]


def test_the_chain_finds_the_groups_and_names_them(vector_store: Writer) -> None:
    path = vector_store({"heads.epochs": 60})
    assert computed(materialize(path)) == {step.name for step in STEPS}
    scores = table(path, "evaluation")
    assert scores.select("result", "rows", "labeled_images").rows() == [
        ("image_kmeans", "training_set", 60),
        ("training_free", "training_set", 60),
        ("trained", "training_set", 60),
        ("trained", "whole_store", 60),
    ]
    assert scores["nmi"].to_list() == [1.0] * 4
    clusters = table(path, "clusters")
    assert sorted(name.split()[0] for name in clusters["name"]) == ["blue", "green", "red"]
    assert clusters["size"].to_list() == [20, 20, 20]
    assert clusters["share"].sum() == pytest.approx(1)
    for row in clusters.iter_rows(named=True):
        colors = {other.split()[0] for other in row["alternatives"]}
        assert 1 <= len(row["alternatives"]) <= 4
        assert colors == {row["name"].split()[0]}
        assert len(row["medoids"]) == 9


def test_everything_is_reused_the_second_time(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    assert computed(materialize(path)) == set()


def test_another_tau_computes_what_lies_below_and_back_again_nothing(vector_store: Writer) -> None:
    """In the paper's recipe: its heads differ with every tau, where equal groups would spare what reads them alone."""
    materialize(vector_store({"method": "published"}))
    # The text weight and whether the groups are right do not depend on tau there.
    assert computed(materialize(vector_store({"retrieval.tau": 0.02}))) == COUNTERPARTS_DOWN
    assert computed(materialize(vector_store({"retrieval.tau": 0.005}))) == set()


def test_another_count_with_the_same_centers_spares_the_text_space(vector_store: Writer) -> None:
    """K enters semantic_centers only through k; when k stays the same, so do the vocabulary and the counterparts.

    How much the words say is measured at the K that is grouped with.
    """
    materialize(vector_store({"semantic_centers.count": 6}))
    done = computed(materialize(vector_store({"clusters.count": 4})))
    assert done == {
        "lessons",
        "cluster_count",
        "text_weight",
        "image_kmeans",
        "training_free_clusters",
        "cluster_heads",
        "cluster_ids",
        "corrections",
        "assignments",
        "clusters",
        "cluster_tree",
        "evaluation",
        "review",
        "report",
    }


def test_equal_content_stops_the_work_below(vector_store: Writer) -> None:
    """Labels that only changed their row in the table do not change the manifest or anything downstream."""
    path = vector_store()
    materialize(path)
    source = path.parent / "images.parquet"
    written = pl.read_parquet(source)
    written.reverse().write_parquet(source)
    assert computed(materialize(path)) <= {"image_manifest", "image_labels", "evaluation"}


def test_two_runs_give_the_same_bytes(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store()
    first = materialize(path)
    shutil.rmtree(tmp_path / "data")
    second = materialize(path)
    assert {name: outcome.artifact.content for name, outcome in first.items()} == {
        name: outcome.artifact.content for name, outcome in second.items()
    }


def test_growth_assigns_new_images_and_relearns_nothing(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    more, _ = grouped_vectors(3, per_group=21)
    ids = [f"image-{number:03d}" for number in range(60)] + [f"new-{number}" for number in range(3)]
    old, _ = grouped_vectors()
    write_vectors(path.parent / "images.parquet", ids, np.concatenate([old, more[[0, 21, 42]]]), ["x"] * 63)
    project = load_project(path)
    steps = steps_to_run(project)
    assert steps == [step for step in STEPS if step in GROWTH]
    outcomes = materialize(path, [step.name for step in steps])
    assert outcomes["image_embeddings"].artifact.facts["computed"] == 3
    assigned = table(path, "assignments")
    assert len(assigned) == 63
    by_id = dict(assigned.select("image_id", "cluster_id").iter_rows())
    assert [by_id[f"new-{group}"] for group in range(3)] == [by_id[f"image-{group * 20:03d}"] for group in range(3)]
    states = {entry.step.name: (entry.state, entry.why) for entry in all_status(project)}
    assert states["training_set"] == (
        State.FRESH,
        "the store has changed since; `tac run --recluster` learns from it again",
    )
    assert {state for state, _ in states.values()} == {State.FRESH}
    assert computed(materialize(path)) >= {"training_set", "cluster_heads"}
    assert len(table(path, "training_set")) == 63


def test_a_removed_image_leaves_the_results(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    old, _ = grouped_vectors()
    write_vectors(
        path.parent / "images.parquet", [f"image-{number:03d}" for number in range(1, 60)], old[1:], ["x"] * 59
    )
    outcomes = materialize(path, [step.name for step in GROWTH])
    assert outcomes["image_embeddings"].artifact.facts["computed"] == 0
    assert len(table(path, "assignments")) == 59
    assert table(path, "clusters")["size"].sum() == 59


def test_an_image_that_was_replaced_in_place_is_no_training_image(vector_store: Writer) -> None:
    """It names no cluster and is not a typical image, although it has the name of a training image."""
    path = vector_store()
    materialize(path)
    typical = table(path, "clusters")["medoids"][0][0]
    place = int(typical.removeprefix("image-"))
    vectors, _ = grouped_vectors()
    # Moved only a little, so that it is in the same cluster as before.
    vectors[place] += 0.01
    ids = [f"image-{number:03d}" for number in range(60)]
    write_vectors(path.parent / "images.parquet", ids, vectors, ["x"] * 60)
    materialize(path, [step.name for step in GROWTH])
    found = table(path, "clusters")
    assert found["size"].sum() == 60
    assert typical not in found["medoids"].explode().to_list()


def test_only_what_changed_is_refused_without_its_inputs(vector_store: Writer) -> None:
    path = vector_store()
    with pytest.raises(ArtifactMissing, match="assignments reads image_embeddings, which has not been materialized"):
        execute(find("assignments"), load_project(path))
    materialize(path)
    project = load_project(vector_store({"retrieval.tau": 0.02}))
    with pytest.raises(ArtifactOutdated) as refused:
        execute(find("assignments"), project)
    assert str(refused.value) == (
        "assignments reads cluster_heads, which was made for other settings. Build first: text_counterparts, "
        "text_weight, text_neighbors, training_free_clusters, cluster_heads, cluster_ids, corrections (`tac run` does, "
        "or `tac run --select text_counterparts,text_weight,text_neighbors,training_free_clusters,cluster_heads,"
        "cluster_ids,corrections`)."
    )


def test_inputs_made_from_different_training_sets_are_never_mixed(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    vectors, _ = grouped_vectors(9)
    write_vectors(path.parent / "images.parquet", [f"image-{number:03d}" for number in range(60)], vectors, ["x"] * 60)
    materialize(path, ["image_manifest", "image_embeddings", "training_set"])
    with pytest.raises(ArtifactOutdated, match="text_counterparts was made from another version of training_set"):
        execute(find("training_free_clusters"), load_project(path))


@pytest.mark.parametrize("harm", ["cut", "deleted", "record", "shard"])
def test_artifacts_harmed_by_hand_are_told_and_rebuilt(vector_store: Writer, harm: str) -> None:
    path = vector_store()
    before = materialize(path)
    name = "image_embeddings" if harm == "shard" else "text_counterparts"
    artifact = before[name].artifact
    file = artifact.folder / f"{name}.parquet"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:100])
    elif harm == "deleted":
        file.unlink()
    elif harm == "record":
        (artifact.folder / "artifact.json").write_text("{")
    else:
        next((artifact.folder.parents[1] / "shards").glob("*/*.parquet")).unlink()
    below = find("training_set" if harm == "shard" else "text_neighbors")
    with pytest.raises((ArtifactDamaged, ArtifactMissing), match=f"tac run --select {name}"):
        execute(below, load_project(path))
    states = {entry.step.name: entry.state for entry in all_status(load_project(path))}
    assert states[name] in (State.STALE, State.MISSING)
    after = materialize(path)
    assert computed(after) == {name}
    assert {step: outcome.artifact.content for step, outcome in after.items()} == {
        step: outcome.artifact.content for step, outcome in before.items()
    }


def test_a_full_disk_changes_nothing(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vector_store()
    materialize(path)
    project = load_project(vector_store({"retrieval.tau": 0.02}))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("assets.engine.step.write_segments", refuse)
    with pytest.raises(StoreError, match="is full; text_counterparts was not changed"):
        execute(find("text_counterparts"), project)
    store = open_store(project)
    assert store.require_current("text_counterparts").artifact.damage() is None
    assert list((store.folder / ".scratch").iterdir()) == []


def replace_images(path: Path, *, times: int) -> None:
    """Build the images of a store again and again, each time with other vectors."""
    for seed in range(times):
        vectors, _ = grouped_vectors(seed)
        write_vectors(path.parent / "images.parquet", [f"image-{n:03d}" for n in range(60)], vectors, ["x"] * 60)
        materialize(path, ["image_manifest", "image_embeddings"])


def test_old_versions_go_and_their_shards_with_them(vector_store: Writer) -> None:
    path = vector_store({"keep_versions": 2})
    store = open_store(load_project(path))
    replace_images(path, times=4)
    kept = store.versions("image_embeddings")
    assert len(kept) == 2
    named = {name for artifact in kept for name in artifact.record["links"]}
    assert {str(file.relative_to(store.folder)) for file in store.shards_folder.glob("*/*.parquet")} == named


def test_old_versions_and_their_shards_stay_for_the_days_that_are_kept(vector_store: Writer) -> None:
    path = vector_store({"keep_versions": 1, "keep_days": 30})
    store = open_store(load_project(path))
    replace_images(path, times=3)
    kept = store.versions("image_embeddings")
    assert len(kept) == 3
    for version in kept:
        assert all((store.folder / link).exists() for link in version.record["links"])


def test_a_bad_vector_is_a_row_with_its_reason_and_the_others_are_read(vector_store: Writer) -> None:
    path = vector_store()
    vectors, _ = grouped_vectors()
    vectors[7] = np.nan
    write_vectors(path.parent / "images.parquet", [f"image-{n:03d}" for n in range(60)], vectors)
    outcomes = materialize(vector_store({"images.labels": "none"}), ["image_manifest", "image_embeddings"])
    facts = outcomes["image_embeddings"].artifact.facts
    assert (facts["readable"], facts["unreadable"]) == (59, 1)
    rows = outcomes["image_embeddings"].artifact.frame(IMAGE_EMBEDDINGS).filter(pl.col("error").is_not_null())
    [(image_id, error)] = rows.select("image_id", "error").rows()
    assert image_id == "image-007"
    assert "finite" in error or "NaN" in error


def test_more_clusters_than_images_are_refused(vector_store: Writer) -> None:
    with pytest.raises(InputError, match=r"clusters\.count must be at most .* got 61 and 60 images"):
        materialize(vector_store({"clusters.count": 61}))


def test_vectors_of_other_width_or_encoder_are_refused(vector_store: Writer, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    narrow = pa.table({"noun": ["a", "b"], "embedding": [[1.0, 0.0], [0.0, 1.0]]})
    pq.write_table(narrow, tmp_path / "narrow.parquet")
    with pytest.raises(InputError, match=f"the image vectors and the noun vectors must have the same width; got {DIM}"):
        materialize(vector_store({"nouns.source": "narrow.parquet"}))
    for name, encoder in (("images", "one"), ("nouns", "another")):
        stated = pq.read_table(tmp_path / f"{name}.parquet").replace_schema_metadata({"tac.encoder": encoder})
        pq.write_table(stated, tmp_path / f"{name}.parquet")
    with pytest.raises(EncoderError, match="the images' is one, the nouns' is another"):
        materialize(vector_store({"nouns.source": "nouns.parquet"}))


def test_without_labels_the_evaluation_says_so(vector_store: Writer) -> None:
    path = vector_store({"images.labels": "none"})
    outcomes = materialize(path)
    assert table(path, "evaluation").is_empty()
    assert "images.labels" in outcomes["evaluation"].artifact.record["notes"]["scores"]["markdown"]


def test_labels_change_the_evaluation_alone(vector_store: Writer) -> None:
    path = vector_store()
    materialize(path)
    source = path.parent / "images.parquet"
    pl.read_parquet(source).with_columns(label=pl.lit("all alike")).write_parquet(source)
    assert computed(materialize(path)) == {"image_labels", "evaluation"}


def test_the_sample_is_seeded_and_grows_one_by_one() -> None:
    view = pl.DataFrame({"image_id": [f"i{number:04d}" for number in range(1000)]})
    chosen = sample_images(view, max_images=100, seed=0)
    assert len(chosen) == 100
    assert chosen["image_id"].is_sorted()
    assert sample_images(view.reverse(), max_images=100, seed=0).equals(chosen)
    assert len(set(chosen["image_id"]) & set(sample_images(view, max_images=100, seed=1)["image_id"])) < 40
    grown = pl.concat([view, pl.DataFrame({"image_id": ["new"]})])
    assert len(set(chosen["image_id"]) - set(sample_images(grown, max_images=100, seed=0)["image_id"])) <= 1


def test_a_large_store_is_learned_from_a_sample_and_assigned_whole(vector_store: Writer) -> None:
    path = vector_store({"training_set.max_images": 30, "heads.epochs": 20})
    materialize(path)
    assert len(table(path, "training_set")) == 30
    assert len(table(path, "assignments")) == 60
    assert table(path, "assignments")["cluster_id"].null_count() == 0


def test_the_record_of_an_artifact_is_complete(vector_store: Writer) -> None:
    outcome = materialize(vector_store())["text_counterparts"]
    record = json.loads((outcome.artifact.folder / "artifact.json").read_text())
    assert record["values"] == {"tau": None, "per_spread": 1.5}
    assert set(record["inputs"]) == {"training_set", "noun_vocabulary"}
    assert set(record["files"]) == {"text_counterparts.parquet"}
    assert record["rows"] == 60
