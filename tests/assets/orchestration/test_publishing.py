"""Publishing: what is published automatically, what is held back and why, and what is possible by hand."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from assets_helpers import materialize
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.graph import GROWTH
from assets.orchestration import publishing
from assets.orchestration.build import build_definitions
from assets.orchestration.publishing import Decision, decision_metadata, publication_in_words, rollback
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, ArtifactOutdated, StoreError
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.publication import Publication, Version

Writer = Callable[..., Path]


def publish(path: Path, *, by_hand: bool = False) -> Decision:
    return publishing.publish(load_project(path), by_hand=by_hand)


def back(path: Path, number: int | None = None) -> Version:
    version = rollback(load_project(path), number).version
    assert version is not None
    return version


def published(path: Path) -> Publication:
    return Publication(open_store(load_project(path)).published_folder)


def replace_images(path: Path, ids: list[str], vectors: np.ndarray) -> None:
    """Give the store these images, and assign them."""
    write_vectors(path.parent / "images.parquet", ids, vectors, ["x"] * len(ids))
    materialize(path, [step.name for step in GROWTH])


def rotate_groups(path: Path) -> None:
    """Every image gets the vector of an image of the next group."""
    vectors, _ = grouped_vectors()
    replace_images(path, [f"image-{number:03d}" for number in range(60)], np.roll(vectors, 20, axis=0))


def add_images(path: Path, count: int) -> None:
    """This many more images like the first one."""
    vectors, _ = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(60)] + [f"new-{number:04d}" for number in range(count)]
    replace_images(path, ids, np.concatenate([vectors, np.repeat(vectors[:1], count, axis=0)]))


@pytest.fixture
def path(vector_store: Writer) -> Path:
    """A small store with a result and nothing published yet."""
    settings = vector_store()
    materialize(settings)
    return settings


def test_a_sound_result_is_published_by_itself(path: Path) -> None:
    decision = publish(path)
    assert (decision.moved, decision.sentence) == (True, "version 1 is published")
    assert decision.version is not None and decision.version == published(path).latest()
    assert len(decision.version.assignments) == 60
    names = set(decision.version.assignments["cluster_name"])
    assert names == set(decision.version.clusters["name"])
    assert len(names) == 3
    assert decision.version.table("lineage")["event"].to_list() == ["born"] * 3
    assert decision.version.table("changes")["old_cluster_id"].null_count() == 60


def test_the_same_result_twice_is_one_version(path: Path) -> None:
    first = publish(path).version
    again = publish(path)
    assert (again.version, again.moved, again.sentence) == (first, True, "version 1 is this result already")
    assert publish(path, by_hand=True).version == first
    materialize(path)
    assert publish(path).version == first
    assert [version.number for version in published(path).versions()] == [1]


def test_growth_is_published_with_what_came(path: Path) -> None:
    publish(path)
    add_images(path, 3)
    decision = publish(path)
    assert decision.sentence == "version 2 is published"
    changes = published(path).changes(since=1)
    assert changes["image_id"].to_list() == ["new-0000", "new-0001", "new-0002"]
    assert changes["old_cluster_id"].null_count() == 3


def test_manual_waits_for_a_hand(vector_store: Writer, path: Path) -> None:
    path = vector_store({"publish": "manual"})
    waiting = publish(path)
    assert (waiting.version, waiting.moved) == (None, False)
    assert waiting.sentence == ("nothing is published yet: publish is manual; `tac publish` publishes this result")
    assert publish(path, by_hand=True).sentence == "version 1 is published"
    add_images(path, 3)
    assert publish(path).sentence.startswith("readers keep version 1: publish is manual")


def test_a_finding_that_blocks_keeps_readers_on_the_old_version(path: Path) -> None:
    publish(path)
    add_images(path, 900)
    decision = publish(path)
    assert decision.version is not None and (decision.version.number, decision.moved) == (1, False)
    assert decision.sentence.startswith("readers keep version 1: Clusters far above their even share: ")
    assert decision.sentence.endswith("`tac publish` publishes it anyway.")
    assert decision.comparison is not None and decision.comparison.came == 900
    assert len(published(path).latest().assignments) == 60  # type: ignore[union-attr]
    assert publish(path, by_hand=True).sentence == "version 2 is published"
    assert "version 2 is this result already" in publish(path).sentence, "what a hand let through is not asked again"


def test_a_finding_that_only_warns_is_published(vector_store: Writer) -> None:
    path = vector_store({"heads.epochs": 1})
    materialize(path)
    assert publish(path).sentence == "version 1 is published"


def test_a_result_that_moves_most_images_is_held_back(path: Path) -> None:
    publish(path)
    rotate_groups(path)
    decision = publish(path)
    assert not decision.moved
    assert decision.sentence == (
        "readers keep version 1: 60 of 60 images (100%) would change their cluster. Look at `tac diff`; `tac publish` "
        "publishes it anyway."
    )
    assert publish(path, by_hand=True).sentence == "version 2 is published"
    assert published(path).changes(since=1).drop_nulls().height == 60


def test_a_result_without_most_images_is_held_back(path: Path, vector_store: Writer) -> None:
    """The same as when another source is read under the name of this store."""
    publish(path)
    vectors, _ = grouped_vectors()
    write_vectors(path.parent / "others.parquet", [f"other-{number}" for number in range(60)], vectors, ["x"] * 60)
    path = vector_store({"images.source": "others.parquet"})
    materialize(path)
    decision = publish(path)
    assert not decision.moved
    assert decision.sentence == (
        "readers keep version 1: 60 of the 60 images that readers know would be gone, a larger share than "
        "images.max_loss (0.5) allows. If this is intended, `tac publish` publishes it; if not, see whether "
        "images.source is right and no other settings file names this store."
    )
    assert publish(vector_store({"images.max_loss": 1})).sentence == "version 2 is published"


def test_a_rollback_holds_until_somebody_publishes(path: Path) -> None:
    publish(path)
    add_images(path, 3)
    publish(path)
    old = back(path)
    assert (old.number, old.rolled_back_to) == (3, 1)
    assert len(old.assignments) == 60
    held = publish(path)
    assert (held.version, held.moved) == (old, False)
    assert held.sentence == (
        "readers keep version 3: held since the rollback to version 1; `tac publish` publishes this result and ends "
        "that"
    )
    add_images(path, 5)
    assert not publish(path).moved, "growth does not end it"
    assert publish(path, by_hand=True).sentence == "version 4 is published"
    add_images(path, 6)
    assert publish(path).sentence == "version 5 is published"


def test_publishing_what_was_gone_back_to_ends_the_hold(path: Path) -> None:
    publish(path)
    add_images(path, 3)
    publish(path)
    back(path)
    add_images(path, 0)
    assert publish(path).sentence == "version 3 is this result already"
    assert published(path).held() is not None
    assert publish(path, by_hand=True).sentence == "version 3 is this result already; what held it is ended"
    assert publish(path, by_hand=True).sentence == "version 3 is this result already", "there is no hold any more"
    assert published(path).held() is None


def test_a_rollback_that_cannot_be_is_a_sentence(path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"nothing is published in .*: there is nothing to go back to"):
        back(path)
    publish(path)
    with pytest.raises(ArtifactMissing, match="no version older than 1 is kept"):
        back(path)
    with pytest.raises(StoreError, match="version 1 is what is published now; name an older one"):
        back(path, 1)
    with pytest.raises(ArtifactMissing, match=r"there is no published version 9 in .*; kept are 1"):
        back(path, 9)
    assert published(path).held() is None, "a refused rollback holds nothing"


def test_before_a_run_there_is_nothing_to_publish(vector_store: Writer) -> None:
    path = vector_store()
    with pytest.raises(
        ArtifactMissing, match=r"no result to publish yet .*: cluster_ids, corrections, assignments, clusters must"
    ):
        publish(path, by_hand=True)


def test_results_that_were_not_made_from_each_other_are_refused(vector_store: Writer) -> None:
    # Trained heads differ with every tau, so that each result is another one.
    path = vector_store({"method": "trained"})
    materialize(path)
    publish(path)
    path = vector_store({"retrieval.tau": 0.02})
    materialize(
        path,
        [
            "text_counterparts",
            "text_weight",
            "text_neighbors",
            "training_free_clusters",
            "cluster_heads",
            "cluster_ids",
        ],
    )
    for by_hand in (False, True):
        with pytest.raises(
            ArtifactOutdated, match="corrections was made from another version of cluster_ids: there is"
        ):
            publish(path, by_hand=by_hand)
    materialize(path, ["corrections"])
    with pytest.raises(ArtifactOutdated, match="assignments was made from another version of corrections"):
        publish(path)
    materialize(path, ["assignments"])
    with pytest.raises(ArtifactOutdated, match="clusters was made from another version of assignments"):
        publish(path)
    materialize(path)
    assert publish(path, by_hand=True).moved


def test_a_damaged_result_is_not_published(path: Path) -> None:
    artifact = open_store(load_project(path)).require_current("assignments").artifact
    file = artifact.folder / "assignments.parquet"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ArtifactDamaged, match=r"must have .* Materialize assignments again: `tac run"):
        publish(path, by_hand=True)
    assert published(path).latest() is None


def test_old_versions_lose_their_tables_and_keep_their_changes(vector_store: Writer) -> None:
    path = vector_store({"keep_versions": 2})
    materialize(path)
    for count in range(4):
        add_images(path, count)
        publish(path)
    versions = published(path).versions()
    assert [(version.number, version.whole) for version in versions] == [(1, False), (2, False), (3, True), (4, True)]
    assert published(path).changes(since=0).height == 63


def test_status_says_what_readers_have_and_what_holds_the_result_back(path: Path, vector_store: Writer) -> None:
    def words() -> str:
        return publication_in_words(load_project(path))

    another = "; the current result is another one (`tac diff`)"
    assert words() == "nothing is published yet"
    publish(path)
    assert words().startswith("readers have version 1 of 20")
    assert ";" not in words()
    add_images(path, 3)
    assert words().endswith(another), "nothing holds it back: the next run publishes it"
    publish(path)
    back(path)
    assert f", which repeats version 1{another}: held since the rollback to version 1; `tac publish`" in words()
    add_images(path, 0)
    assert words().endswith(", which repeats version 1; held since the rollback to version 1 (`tac publish` ends that)")
    publish(path, by_hand=True)
    rotate_groups(path)
    assert f"{another}: 60 of 60 images (100%) would change their cluster." in words()
    vector_store({"publish": "manual"})
    assert words().endswith(f"{another}: publish is manual; `tac publish` publishes this result")


def test_the_ui_shows_the_decision_and_what_moved(path: Path) -> None:
    first = decision_metadata(publish(path))
    assert (first["version"], first["is this result"], first["images that came"]) == (1, True, 60)
    rotate_groups(path)
    shown = decision_metadata(publish(path))
    assert (shown["version"], shown["is this result"], shown["images moved"]) == (1, False, 60)
    assert "would change their cluster" in shown["decision"]
    assert "old size" in shown["clusters that differ"].md_str


def test_a_result_that_is_held_back_is_a_check_that_warns(vector_store: Writer) -> None:
    path = vector_store({"publish": "manual"})
    materialize(path)

    def look() -> dg.AssetCheckEvaluation:
        defs = build_definitions(path)
        key = dg.AssetCheckKey(dg.AssetKey(["small", "published"]), "readers_are_current")
        job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_check_selection={key})
        with dg.DagsterInstance.ephemeral() as instance:
            [found] = job.execute_in_process(instance=instance).get_asset_check_evaluations()
        assert found.severity == dg.AssetCheckSeverity.WARN
        return found

    project = load_project(path)
    held = publishing.publish(project, by_hand=False)
    assert not held.moved
    found = look()
    assert not found.passed
    assert str(found.description) == (
        "Nothing is published yet: publish is manual; `tac publish` publishes this result."
    )
    publishing.publish(project, by_hand=True)
    found = look()
    assert found.passed
    assert str(found.description).startswith("Readers have version 1 of ")


def test_a_settings_edit_after_publishing_is_told_beside_the_version(path: Path, vector_store: Writer) -> None:
    publishing.publish(load_project(path), by_hand=True)
    assert "settings" not in publication_in_words(load_project(path))
    edited = load_project(vector_store({"retrieval.tau": 0.02}))
    assert publication_in_words(edited).endswith("; the settings have changed since (`tac run`)")
