"""A bucket that grows, through the chain: what is read, what is encoded, what goes, and what an outage does."""

from pathlib import Path
from typing import Any

import pytest
from assets_helpers import computed, materialize
from colored_store import colored_store, draw, edit, view  # noqa: F401 - a fixture

from assets.engine.execute import open_store
from assets.graph import GROWTH
from tac_pipeline.errors import SourceError
from tac_pipeline.settings.project import load_project

pytestmark = pytest.mark.filterwarnings("ignore::tac_pipeline.errors.TacWarning")

GROWING = [step.name for step in GROWTH]


@pytest.fixture
def bucket(store: Path, s3: Any) -> Path:
    """The settings of the picture store, with the pictures in a bucket."""
    s3.put(str(store.parent / "photos"), "photos/in", recursive=True)
    return edit(store, "images.source", "s3://photos/in")


def test_of_a_bucket_only_new_and_changed_images_are_read(bucket: Path, s3: Any, tmp_path: Path) -> None:
    first = materialize(bucket)
    facts = first["image_embeddings"].artifact.facts
    assert (facts["readable"], facts["unreadable"], facts["computed"]) == (27, 3, 30)
    shards = {path: path.read_bytes() for path in open_store(load_project(bucket)).shards_folder.glob("*/*")}

    draw(tmp_path / "new.png", (40, 50, 220), 77)
    s3.put_file(str(tmp_path / "new.png"), "photos/in/group2/new.png")
    draw(tmp_path / "other.png", (40, 50, 220), 78)
    s3.put_file(str(tmp_path / "other.png"), "photos/in/group2/1.png")
    s3.rm("photos/in/group0/1.png")
    grown = materialize(bucket, GROWING)
    facts = grown["image_embeddings"].artifact.facts
    assert (facts["computed"], facts["readable"]) == (2, 27)
    assert "group0/1.png" not in view(bucket)["image_id"]
    assert {path: path.read_bytes() for path in shards} == shards, "no vector was rewritten"
    assert computed(materialize(bucket, GROWING)) == set()


def test_the_same_bytes_under_another_name_are_read_and_not_encoded(bucket: Path, s3: Any) -> None:
    materialize(bucket)
    s3.copy("photos/in/group0/2.jpg", "photos/in/group1/copy.jpg")
    facts = materialize(bucket, GROWING)["image_embeddings"].artifact.facts
    assert (facts["computed"], facts["copied"]) == (1, 1)


def test_a_bucket_that_is_gone_drops_nothing(bucket: Path, s3: Any) -> None:
    materialize(bucket)
    before = view(bucket)
    s3.rm("photos/in", recursive=True)
    with pytest.raises(SourceError, match=r"nothing is at s3://photos/in"):
        materialize(bucket, GROWING)
    assert view(bucket).equals(before)
