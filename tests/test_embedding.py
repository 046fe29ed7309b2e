"""Shards and views: only what is new is read, what cannot be read stays as a row, a crash loses one shard."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from photo_embedder import ENCODER, Embedder, png, shards_of, write_photos
from PIL import Image

from tac_pipeline import embedding
from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.embedding import KnownVectors, embed_missing
from tac_pipeline.errors import ArtifactDamaged, InputError, SourceError
from tac_pipeline.store import shards as shards_module
from tac_pipeline.store.parquet import read_table
from tac_pipeline.store.shards import gather_vectors, read_shard_index, unnamed_shards


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def embed(photos: Path, tmp_path: Path) -> Embedder:
    return Embedder(photos, tmp_path / "shards")


def test_every_image_is_a_row_with_its_vector(embed: Embedder, photos: Path) -> None:
    view = embed()
    assert view["image_id"].to_list() == [f"{number}.png" for number in range(10)]
    assert view["width"].unique().to_list() == [12]
    assert view["height"].unique().to_list() == [10]
    assert view["computed"].all()
    vectors = gather_vectors(view, embed.shards, encoder=ENCODER)
    reds = np.arange(10) * 20 / 255
    np.testing.assert_allclose(vectors, unit_rows(np.stack([reds, 0 * reds, 0 * reds, 0 * reds + 0.5], 1)), atol=2e-3)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batches_never_change_the_result(photos: Path, tmp_path: Path, batch_size: int) -> None:
    one = Embedder(photos, tmp_path / "one")
    other = Embedder(photos, tmp_path / "other")
    np.testing.assert_array_equal(
        gather_vectors(one(), one.shards, encoder=ENCODER),
        gather_vectors(other(batch_size=batch_size), other.shards, encoder=ENCODER),
    )


def test_only_new_and_changed_images_are_read(embed: Embedder, photos: Path) -> None:
    embed()
    (photos / "new.png").write_bytes(png((0, 255, 0)))
    (photos / "3.png").write_bytes(png((0, 0, 255)))
    (photos / "4.png").unlink()
    view = embed()
    assert sorted(embed.read) == ["3.png", "new.png"]
    assert embed.encoder.encoded == 2
    assert view.filter(pl.col("computed"))["image_id"].to_list() == ["3.png", "new.png"]
    assert "4.png" not in view["image_id"]
    blue = gather_vectors(view.filter(pl.col("image_id") == "3.png"), embed.shards, encoder=ENCODER)
    np.testing.assert_allclose(blue, unit_rows(np.array([[0, 0, 1, 0.5]])), atol=2e-3)
    embed()
    assert embed.read == []


def test_unreadable_images_stay_as_rows_and_the_run_goes_on(embed: Embedder, photos: Path) -> None:
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.jpg").write_bytes(b"not an image")
    (photos / "cut.png").write_bytes(png((1, 2, 3), (60, 60))[:60])
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    embed.max_pixels = 1000
    (photos / "bomb.png").write_bytes(png((1, 2, 3), (40, 40)))
    embed.max_bytes = 5000
    (photos / "huge.png").write_bytes(png((1, 2, 3)) + b"\0" * 5000)
    view = embed()
    bad = view.filter(pl.col("error").is_not_null())
    assert sorted(bad["image_id"]) == ["bomb.png", "cut.png", "empty.png", "gone.png", "huge.png", "text.jpg"]
    assert len(view) == 16
    errors = dict(bad.select("image_id", "error").iter_rows())
    assert errors["gone.png"].startswith("cannot be read: No such file")
    assert "images.max_bytes (5,000)" in errors["huge.png"]
    assert all(errors.values())
    assert len(gather_vectors(view, embed.shards, encoder=ENCODER)) == 10


def test_what_may_pass_next_time_is_tried_again_and_nothing_else(embed: Embedder, photos: Path) -> None:
    (photos / "text.jpg").write_bytes(b"not an image")
    (photos / "bomb.png").write_bytes(png((1, 2, 3), (40, 40)))
    embed.max_pixels = 1000
    embed()
    embed()
    assert embed.read == ["bomb.png"]
    embed.max_pixels = 2000
    assert embed().filter(pl.col("error").is_not_null())["image_id"].to_list() == ["text.jpg"]
    embed()
    assert embed.read == []


def test_a_crash_loses_the_shard_in_flight_alone(
    embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "SHARD_ROWS", 3)
    encode = embed.encoder.encode_images

    def crash(pixels: np.ndarray) -> FloatMatrix:
        if embed.encoder.encoded >= 6:
            raise KeyboardInterrupt
        return encode(pixels)

    embed.encoder.encode_images = crash  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        embed(batch_size=3)
    embed.encoder.encode_images = encode  # type: ignore[method-assign]
    view = embed(batch_size=3)
    assert len(embed.read) == 4
    assert len(view) == 10
    assert view["computed"].sum() == 4


def test_a_damaged_shard_is_told_and_only_its_images_are_read_again(
    embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "SHARD_ROWS", 5)
    view = embed(batch_size=5)
    path = embed.shards / view["shard"][0]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ArtifactDamaged, match="only its images are encoded again"):
        gather_vectors(view, embed.shards, encoder=ENCODER)
    assert len(embed(batch_size=5)) == 10
    assert len(embed.read) == 5


def test_shards_of_another_encoder_are_neither_used_nor_mixed(embed: Embedder) -> None:
    view = embed()
    folder = next(path for path in embed.shards.iterdir() if path.is_dir())
    assert read_shard_index(folder, encoder="another").is_empty()
    with pytest.raises(ArtifactDamaged, match="must hold vectors of another; it says the mean color"):
        gather_vectors(view, embed.shards, encoder="another")


def test_a_store_without_a_readable_image_is_refused(embed: Embedder, photos: Path) -> None:
    for path in photos.iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="no image of the store can be read"):
        gather_vectors(embed(), embed.shards, encoder=ENCODER)


def test_a_source_that_changes_while_it_is_read_is_told(embed: Embedder) -> None:
    with pytest.raises(SourceError, match="10 of 10 are not"):
        embed_missing(embed.source.list_images(), lambda *_: iter([]), shards=embed.shards, encoder=ENCODER)


def test_shards_that_no_version_names_are_found(embed: Embedder, photos: Path) -> None:
    first = embed()
    (photos / "0.png").write_bytes(png((9, 9, 9)))
    second = embed()
    assert unnamed_shards(shards_of([first, second]), embed.shards) == []
    assert unnamed_shards(shards_of([second]), embed.shards) == []
    new_only = second.filter(pl.col("image_id") == "0.png")
    assert {path.name for path in unnamed_shards(shards_of([new_only]), embed.shards)} == {Path(first["shard"][0]).name}


def test_the_shards_of_an_unfinished_build_are_spared_for_a_week(embed: Embedder) -> None:
    of_another = embed().with_columns(shard=pl.lit("another encoder/one.parquet"))
    shards = list(embed.shards.glob("*/*.parquet"))
    assert unnamed_shards(shards_of([of_another]), embed.shards) == unnamed_shards(shards_of([]), embed.shards) == []
    for days, gone in ((6.9, []), (7.1, shards)):
        for path in shards:
            os.utime(path, (time.time() - days * 86400,) * 2)
        assert unnamed_shards(shards_of([of_another]), embed.shards) == gone


def test_equal_bytes_are_encoded_once(embed: Embedder, photos: Path) -> None:
    for number in range(5):
        (photos / f"copy {number}.png").write_bytes((photos / "7.png").read_bytes())
    view = embed()
    assert embed.encoder.encoded == 10
    assert view["copied"].sum() == 5
    (photos / "moved.png").write_bytes((photos / "2.png").read_bytes())
    (photos / "2.png").unlink()
    (photos / "twice.png").write_bytes(png((0, 0, 255)))
    (photos / "thrice.png").write_bytes(png((0, 0, 255)))
    view = embed()
    assert sorted(embed.read) == ["moved.png", "thrice.png", "twice.png"]
    assert embed.encoder.encoded == 1
    vectors = gather_vectors(view, embed.shards, encoder=ENCODER)
    of = dict(zip(view["image_id"], vectors, strict=True))
    np.testing.assert_array_equal(of["copy 3.png"], of["7.png"])
    np.testing.assert_array_equal(of["twice.png"], of["thrice.png"])
    np.testing.assert_allclose(of["moved.png"], unit_rows(np.array([[40 / 255, 0, 0, 0.5]]))[0], atol=2e-3)
    assert view.filter(image_id="moved.png")["width"].item() == 12


def test_copied_vectors_are_gathered_shard_by_shard(
    embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards_module, "SHARD_ROWS", 4)
    before = embed(batch_size=2)
    assert before["shard"].n_unique() == 3
    monkeypatch.setattr(embedding, "OPEN_SHARDS", 2)
    opened: list[str] = []

    def read(path: Path, *args: Any, **chosen: Any) -> Any:
        if chosen.get("columns") == ["embedding"]:
            opened.append(path.name)
        return read_table(path, *args, **chosen)

    monkeypatch.setattr(embedding, "read_table", read)
    for photo in photos.iterdir():
        photo.rename(photo.with_name(f"moved {photo.name}"))
    after = embed(batch_size=3)
    assert (embed.encoder.encoded, after["copied"].sum()) == (0, 10)
    assert sorted(opened) == sorted(Path(shard).name for shard in before["shard"].unique()), "each is opened once"
    np.testing.assert_array_equal(
        gather_vectors(after, embed.shards, encoder=ENCODER), gather_vectors(before, embed.shards, encoder=ENCODER)
    )


def test_a_touched_file_is_read_and_not_encoded(embed: Embedder, photos: Path) -> None:
    before = embed()
    os.utime(photos / "3.png", (1, 1))  # a clock that was set back is a change like any other
    after = embed()
    assert embed.read == ["3.png"]
    assert embed.encoder.encoded == 0
    assert before["content_hash"].equals(after["content_hash"])


def test_known_bytes_over_a_lowered_limit_are_refused_all_the_same(embed: Embedder, photos: Path) -> None:
    embed()
    os.utime(photos / "3.png", (1, 1))
    embed.max_pixels = 50
    assert embed().filter(pl.col("error").is_not_null())["image_id"].to_list() == ["3.png"]


def test_a_slow_encoder_writes_a_shard_a_minute(embed: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "SHARD_SECONDS", 0.0)
    assert embed(batch_size=4)["shard"].n_unique() == 3


def test_what_older_code_could_not_read_is_read_once_more(
    embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    for module in (embedding, shards_module):
        monkeypatch.setattr(module, "READER", "older code")
    embed()
    embed()
    assert embed.read == []
    monkeypatch.undo()
    embed()
    assert embed.read == ["broken.png"]
    embed()
    assert embed.read == []


def test_what_was_chosen_to_read_an_image_is_a_note_of_its_row(embed: Embedder, photos: Path) -> None:
    deep = (np.arange(64 * 64).reshape(64, 64) % 4096).astype(np.uint16)
    Image.fromarray(deep).save(photos / "deep.png")
    notes = dict(embed().select("image_id", "note").iter_rows())
    assert notes.pop("deep.png").endswith("were brought to 8 bits")
    assert set(notes.values()) == {None}


def test_bytes_with_almost_the_same_digest_are_told_apart(tmp_path: Path) -> None:
    hashes = ["0" * 15 + digit * 49 for digit in "4a4f"] + ["f" * 64]
    rows = pl.DataFrame({"content_hash": hashes, "shard": list("pqrst"), "row": range(5), "width": 7, "height": 8})
    index = rows.with_columns(image_id="shard", version="shard", error=pl.lit(None, pl.String), note=pl.lit(None))
    known = KnownVectors(tmp_path, index, encoder=ENCODER)
    places = [known._place(content_hash) for content_hash in hashes]
    # Of equal bytes the last row counts.
    assert places == [("r", 2, 7, 8), ("q", 1, 7, 8), ("r", 2, 7, 8), ("s", 3, 7, 8), ("t", 4, 7, 8)]
    assert known.find("0" * 64) is known.find("e" * 64) is None


def test_an_unreadable_image_has_no_known_vector(tmp_path: Path) -> None:
    rows = {"content_hash": ["a" * 64], "shard": ["s"], "row": [0], "width": [0], "height": [0], "error": ["damaged"]}
    assert KnownVectors(tmp_path, pl.DataFrame(rows), encoder=ENCODER).find("a" * 64) is None
