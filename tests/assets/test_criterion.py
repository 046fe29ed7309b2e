"""A store that is grouped by words: what it tells apart, what it leaves as it was, and what it refuses."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from assets_helpers import computed, materialize
from small_store import write_vectors
from two_facts import agree, two_facts, write_two_facts

from assets.engine.execute import open_store
from assets.lookups.status import State, all_status, steps_to_run
from tac_pipeline.errors import InputError
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.schemas import CLUSTERS, CRITERION

Writer = Callable[..., Path]
WORDS = ["day", "night"]
BEFORE = ["image_manifest", "image_embeddings", "training_set", "candidate_nouns", "noun_embeddings", "criterion"]


@pytest.fixture
def store(vector_store: Writer, tmp_path: Path) -> Writer:
    """Writes the settings of a store of which every image shows a thing, and a time of day."""
    write_two_facts(tmp_path)
    return vector_store


def table(path: Path, asset: str, schema: object) -> pl.DataFrame:
    return open_store(load_project(path)).require_current(asset).artifact.frame(schema)


def test_the_groups_are_what_the_words_tell_apart(store: Writer) -> None:
    _, thing, time = two_facts()
    path = store()
    materialize(path)
    assert agree(load_project(path), thing)
    path = store({"group_by": WORDS, "clusters.count": 2})
    done = computed(materialize(path))
    assert not {"image_embeddings", "training_set", "noun_embeddings", "map_layout", "image_map"} & done
    assert agree(load_project(path), time)
    found = table(path, "clusters", CLUSTERS).sort("size", descending=True)
    assert found.select("name", "size").rows() == [("day", 45), ("night", 15)]
    assert {entry.state for entry in all_status(load_project(path))} == {State.FRESH}
    path = store({"group_by": None, "clusters.count": 3})
    assert computed(materialize(path)) == set()
    assert agree(load_project(path), thing)


def test_a_store_without_a_criterion_has_an_empty_table(store: Writer) -> None:
    path = store()
    materialize(path, ["criterion"])
    assert table(path, "criterion", CRITERION).is_empty()
    # Nothing had to be there.
    assert open_store(load_project(path)).current("training_set") is None


def test_new_images_are_seen_by_the_same_words(store: Writer, tmp_path: Path) -> None:
    path = store({"group_by": WORDS, "clusters.count": 2})
    materialize(path)
    vectors, _, time = two_facts(120, seed=1)
    ids = [f"{number:03d}" for number in range(len(vectors))]
    write_vectors(tmp_path / "images.parquet", ids, vectors, ["thing"] * len(ids))
    outcomes = materialize(path, [step.name for step in steps_to_run(load_project(path))])
    assert "criterion" not in outcomes
    assert agree(load_project(path), time)


def test_growth_goes_on_with_what_was_learned_last(store: Writer) -> None:
    """The settings name another criterion, or none, and nobody has learned by it yet."""
    _, thing, time = two_facts()
    growth = ["corrections", "assignments", "clusters", "review"]
    path = store({"group_by": WORDS, "clusters.count": 2})
    materialize(path)
    path = store({"group_by": None})
    materialize(path, growth, in_force=True)
    assert agree(load_project(path), time)
    path = store({"clusters.count": 3})
    materialize(path)
    path = store({"group_by": WORDS})
    materialize(path, growth, in_force=True)
    assert agree(load_project(path), thing)
    # Learning came as far as the criterion.
    materialize(path, ["criterion"])
    materialize(path, growth, in_force=True)
    assert agree(load_project(path), thing)


def test_given_nouns_must_have_the_words(store: Writer) -> None:
    path = store({"group_by": ["day", "night", "dusk", "dawn"]})
    with pytest.raises(InputError, match=r"2 of 4 words are not in nouns\.source, .*: dusk, dawn\. Add them"):
        materialize(path, BEFORE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"clusters.count": 3},
            r"clusters\.count must be 2 where group_by has two words, .*; got 3\. Set it to 2, or add",
        ),
        ({"clusters.count": "auto", "clusters.min": 4}, r"clusters\.min must be 2 where .*; got 4\. "),
    ],
    ids=["given", "found"],
)
def test_two_words_are_two_groups(store: Writer, changes: dict[str, object], message: str) -> None:
    path = store({"group_by": WORDS, **changes})
    with pytest.raises(InputError, match=message):
        materialize(path, [*BEFORE, "cluster_count"])


def test_two_words_leave_no_number_to_find(store: Writer) -> None:
    path = store({"group_by": WORDS, "clusters.count": "auto"})
    materialize(path, [*BEFORE, "cluster_count"])
    assert open_store(load_project(path)).require_current("cluster_count").artifact.facts["count"] == 2
