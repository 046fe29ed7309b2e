"""Known classes in a store: what people call some groups already is kept, and a store without them is as before."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from assets_helpers import computed, materialize

from assets.graph import GROWTH, LEARNING, STEPS, descendants, find
from assets.images import sample_images
from assets.lookups.readiness import plan_run
from assets.lookups.status import all_status, steps_to_run
from tac_pipeline.errors import InputError, SettingsError
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]

# Of the store's three groups of twenty, two are known; the third example of bikes is of the group of cars.
EXAMPLES = {"image-000": "bikes", "image-001": "bikes", "image-059": "bikes", "image-020": "cars", "image-021": "cars"}


def write_examples(folder: Path, examples: dict[str, str]) -> None:
    table = pl.DataFrame({"image_id": list(examples), "label": list(examples.values())})
    table.write_csv(folder / "known.csv")


def ids_of_names(path: Path) -> dict[str, int]:
    made = materialize(path, ["clusters"])["clusters"].artifact
    return dict(pl.read_parquet(made.file("clusters.parquet")).select("name", "cluster_id").iter_rows())


def test_known_classes_keep_their_images_names_and_ids(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store({"known.file": "known.csv"})
    write_examples(tmp_path, EXAMPLES)
    made = materialize(path)
    clusters = pl.read_parquet(made["clusters"].artifact.file("clusters.parquet"))
    by_name = {row["name"]: row for row in clusters.to_dicts()}
    assert {"bikes", "cars"} < set(by_name)
    assert by_name["bikes"]["name_confidence"] == by_name["cars"]["name_confidence"] == 1
    assigned = pl.read_parquet(made["assignments"].artifact.file("assignments.parquet"))
    groups = dict(assigned.select("image_id", "cluster_id").iter_rows())
    assert {image: groups[image] for image in EXAMPLES} == {
        image: by_name[name]["cluster_id"] for image, name in EXAMPLES.items()
    }
    assert groups["image-005"] == by_name["bikes"]["cluster_id"]
    assert groups["image-025"] == by_name["cars"]["cluster_id"]
    assert assigned.filter("curated")["image_id"].to_list() == sorted(EXAMPLES)
    # The examples change sides: the classes keep their ids, although most of their images are others now.
    write_examples(tmp_path, {"image-020": "bikes", "image-021": "bikes", "image-000": "cars", "image-001": "cars"})
    states = {status.step.name: status.why for status in all_status(load_project(path))}
    assert states["known_labels"] == "the examples have changed since; `tac run --recluster` learns from them"
    materialize(path)
    after = ids_of_names(path)
    assert (after["bikes"], after["cars"]) == (by_name["bikes"]["cluster_id"], by_name["cars"]["cluster_id"])


def test_a_store_that_names_no_classes_learns_nothing_again(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store()
    before = {name: outcome.artifact.recipe for name, outcome in materialize(path).items()}
    # A store from before there was this asset.
    shutil.rmtree(tmp_path / "data" / "small" / "known_labels")
    due = {step.name for step in steps_to_run(load_project(path)) if step in LEARNING}
    assert due == {"known_labels"}
    # Known once, and given up again.
    write_examples(tmp_path, EXAMPLES)
    assert computed(materialize(vector_store({"known.file": "known.csv"}))) >= {"training_free_clusters", "clusters"}
    path = vector_store({"known.file": None})
    grown = materialize(path, [step.name for step in GROWTH], in_force=True)
    assert computed(grown) == set()  # until learning runs, the groups and their names stay
    again = materialize(path)
    assert {name: outcome.artifact.recipe for name, outcome in again.items()} == before
    assert computed(again) == {"known_labels"}


def test_learning_reads_known_labels_and_never_the_labels_of_evaluation() -> None:
    below = {step.name for step in descendants([find("known_labels")])}
    assert {"training_set", "training_free_clusters", "cluster_heads", "corrections"} < below
    above_known = {step.name for step in STEPS if step in find("known_labels").optional}
    assert above_known == {"image_embeddings"}
    assert [step.name for step in descendants([find("image_labels")])] == ["image_labels", "evaluation"]


@pytest.mark.parametrize(
    ("examples", "settings", "message"),
    [
        ({"a": "x", "b": "y"}, {}, r"known.file must name images of the store; none of its 2 .* such as 'a', 'b'"),
        ({"image-000": "x", "b": "y"}, {}, "each known class must have an example that is in the store .*; 'y' has"),
        (EXAMPLES | {"image-030": "Cars"}, {}, "no two known classes may have one name; 'Cars' and 'cars' differ"),
        (
            {f"image-00{number}": f"class {number}" for number in range(4)},
            {},
            "clusters.count must be at least the number of known classes; got 3 and 4 classes",
        ),
        (EXAMPLES, {"training_set.max_images": 4}, "training_set.max_images must be at least .*; got 4 and 5 examples"),
        (EXAMPLES, {"clusters.count": "auto", "clusters.min": 2, "known.column": "kind"}, "must have a column kind"),
    ],
    ids=["none there", "class without", "case", "too many classes", "too many examples", "no column"],
)
def test_examples_that_cannot_be_kept_are_refused(
    examples: dict[str, str], settings: dict[str, object], message: str, vector_store: Writer, tmp_path: Path
) -> None:
    path = vector_store({"known.file": "known.csv", **settings})
    write_examples(tmp_path, examples)
    materialize(path, ["image_manifest", "image_embeddings"])
    with pytest.raises(InputError, match=message):
        materialize(path, ["known_labels"])


def test_a_file_that_cannot_be_used_is_refused_before_any_work(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store({"known.file": "known.csv"})
    (tmp_path / "known.csv").write_text("image_id,label\na,cat\na,dog\n")
    with pytest.raises(InputError, match="an image must have one class; 'a' has 'cat'"):
        plan_run(load_project(path))


def test_examples_that_are_not_in_the_store_are_counted(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store({"known.file": "known.csv"})
    write_examples(tmp_path, EXAMPLES | {"gone": "bikes"})
    made = materialize(path, ["image_manifest", "image_embeddings", "known_labels"])["known_labels"].artifact
    assert (made.rows, made.facts["not_in_the_store"], made.facts["classes"]) == (5, 1, 2)


def test_a_column_of_the_images_table_says_the_classes(vector_store: Writer, tmp_path: Path) -> None:
    path = vector_store({"known.column": "kind"})
    images = pl.read_parquet(tmp_path / "images.parquet")
    kinds = pl.Series("kind", [EXAMPLES.get(image_id) for image_id in images["image_id"]], dtype=pl.String)
    images.with_columns(kinds).write_parquet(tmp_path / "images.parquet")
    made = materialize(path, ["image_manifest", "image_embeddings", "known_labels"])["known_labels"].artifact
    assert dict(pl.read_parquet(made.file("known_labels.parquet")).iter_rows()) == EXAMPLES


def test_another_method_is_refused_where_classes_are_known(vector_store: Writer) -> None:
    with pytest.raises(SettingsError, match="method must be robust where `known` is set; got 'trained'"):
        load_project(vector_store({"known.file": "known.csv", "method": "trained"}))
    with pytest.raises(SettingsError, match="known must have either folder, or file and column"):
        load_project(vector_store({"known.folder": "labeled", "method": "robust"}))


def test_examples_are_in_every_sample() -> None:
    view = pl.DataFrame({"image_id": [f"{number:02d}" for number in range(20)]})
    plain = set(sample_images(view, max_images=5, seed=0)["image_id"])
    others = pl.Series(sorted(set(view["image_id"]) - plain)[:3])
    chosen = set(sample_images(view, max_images=5, seed=0, always=others)["image_id"])
    assert len(chosen) == 5
    assert set(others) < chosen
    assert chosen - set(others) < plain
