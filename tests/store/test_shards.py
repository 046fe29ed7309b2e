"""Many small shards become few: no row is lost or doubled, even after an interruption, and the joining ends."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from photo_embedder import ENCODER, Embedder, color_vector, png, write_photos

from tac_pipeline.digest import digest
from tac_pipeline.store import shards as shards_module
from tac_pipeline.store.parquet import place_table
from tac_pipeline.store.shards import gather_vectors, read_shard_index, unnamed_shards


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


@pytest.fixture
def embed(photos: Path, tmp_path: Path) -> Embedder:
    return Embedder(photos, tmp_path / "shards")


@pytest.fixture
def four_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "SMALL_SHARDS", 4)


def shard_files(embed: Embedder) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in embed.shards.rglob("*.parquet")}


def vectors_by_id(view: pl.DataFrame, embed: Embedder) -> dict[str, np.ndarray]:
    readable = view.filter(pl.col("error").is_null())["image_id"]
    return dict(zip(readable, gather_vectors(view, embed.shards, encoder=ENCODER), strict=True))


def require_whole(view: pl.DataFrame, embed: Embedder) -> None:
    """Every photograph once, with its own vector: names end in the number of its color, or `late` in that of its."""
    assert view["image_id"].to_list() == sorted(path.name for path in embed.source.folder.iterdir())
    for image_id, vector in vectors_by_id(view, embed).items():
        number = int(image_id.removesuffix(".png").split()[-1])
        color = (0, number * 50, 9) if image_id.startswith("late") else (number * 20, 0, 0)
        np.testing.assert_allclose(vector, color_vector(color), atol=2e-3)


def add_late(photos: Path, number: int) -> None:
    (photos / f"late {number}.png").write_bytes(png((0, number * 50, 9)))


@pytest.mark.usefixtures("four_are_many")
def test_many_small_shards_are_joined(embed: Embedder, photos: Path) -> None:
    (photos / "text 0.jpg").write_bytes(b"not an image")
    views = [embed()]
    for number in range(3):
        add_late(photos, number)
        views.append(embed())
    assert [view["shard"].n_unique() for view in views] == [1, 2, 3, 1]
    assert embed.read == ["late 2.png"]
    assert views[-1].filter(pl.col("computed"))["image_id"].to_list() == ["late 2.png"]
    assert views[-1].filter(pl.col("error").is_not_null())["image_id"].to_list() == ["text 0.jpg"]
    require_whole(views[-1], embed)
    # What an older version names stays until that version goes.
    assert len(unnamed_shards(views, embed.shards)) == 1
    assert len(unnamed_shards(views[-1:], embed.shards)) == 4
    assert len(unnamed_shards([*views[:1], views[-1]], embed.shards)) == 3


@pytest.mark.usefixtures("four_are_many")
def test_a_view_that_was_never_committed_loses_and_doubles_nothing(embed: Embedder, photos: Path) -> None:
    embed()
    for number in range(3):
        add_late(photos, number)
        lost = embed()
    before = shard_files(embed)
    again = embed()
    assert embed.read == []
    assert shard_files(embed) == before
    assert again.drop("computed", "copied").equals(lost.drop("computed", "copied"))
    require_whole(again, embed)


@pytest.mark.usefixtures("four_are_many")
@pytest.mark.parametrize("joined", [0, 1, 2])
def test_joining_that_was_killed_loses_and_doubles_nothing(
    embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch, joined: int
) -> None:
    embed()
    for number in range(2):
        add_late(photos, number)
        embed()
    add_late(photos, 2)
    monkeypatch.setattr(shards_module, "SHARD_ROWS", 6)  # 13 rows: three joined shards
    placed: list[Path] = []

    def place(path: Path, *arguments: object, **settings: object) -> None:
        if len(placed) > joined:  # the first is that of the new photograph
            raise KeyboardInterrupt
        place_table(path, *arguments, **settings)  # type: ignore[arg-type]
        placed.append(path)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shards_module, "place_table", place)
        embed()
    assert all(path.exists() for path in placed)
    assert len(placed) == joined + 1
    view = embed()
    assert embed.read == []
    require_whole(view, embed)
    add_late(photos, 3)
    require_whole(embed(), embed)


def test_deletions_rewrite_no_vectors(embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "SHARD_ROWS", 5)
    monkeypatch.setattr(shards_module, "SMALL_SHARD_ROWS", 4)
    monkeypatch.setattr(shards_module, "SMALL_SHARDS", 2)
    embed(batch_size=5)
    before = shard_files(embed)
    for number in (0, 1, 8, 9):
        (photos / f"{number}.png").unlink()
    view = embed()
    require_whole(view, embed)
    assert shard_files(embed) == before
    assert len(before) == 2


def test_what_deletions_left_is_joined_once(embed: Embedder, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "SHARD_ROWS", 5)
    monkeypatch.setattr(shards_module, "SMALL_SHARD_ROWS", 4)
    monkeypatch.setattr(shards_module, "SMALL_SHARDS", 3)
    embed(batch_size=5)
    for number in (0, 1, 2, 3, 6, 7, 8, 9):
        (photos / f"{number}.png").unlink()
    add_late(photos, 0)
    joined = embed()
    assert joined["shard"].n_unique() == 1
    require_whole(joined, embed)
    # The old shards are larger than the joined one, and none of theirs is taken back.
    before = shard_files(embed)
    add_late(photos, 1)
    after = embed()
    assert set(joined["shard"]) < set(after["shard"])
    assert len(shard_files(embed)) == len(before) + 1


@pytest.mark.usefixtures("four_are_many")
def test_bytes_in_a_joined_shard_are_known(embed: Embedder, photos: Path) -> None:
    view = embed()
    for number in range(3):
        add_late(photos, number)
        view = embed()
    for path in unnamed_shards([view], embed.shards):
        path.unlink()
    (photos / "late copy of 1.png").write_bytes((photos / "late 1.png").read_bytes())
    view = embed()
    assert embed.encoder.encoded == 0
    assert view.filter(pl.col("copied"))["image_id"].to_list() == ["late copy of 1.png"]
    require_whole(view, embed)


@pytest.mark.usefixtures("four_are_many")
@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_and_goes_every_image_is_there_once(embed: Embedder, photos: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    views = [embed()]
    for round_ in range(12):
        for name in generator.choice(sorted(path.name for path in photos.iterdir()), size=2, replace=False):
            (photos / name).unlink()
        numbers = generator.integers(12, size=3).tolist()
        for place, number in enumerate(numbers):
            (photos / f"{round_} {place} of {number}.png").write_bytes(png((number * 20, 0, 0)))
        held = colors_held(embed)
        views.append(embed(batch_size=int(generator.integers(1, 4))))
        require_whole(views[-1], embed)
        assert len(embed.read) == 3
        assert embed.encoder.encoded == len(set(numbers) - held)
        for path in unnamed_shards(views[-2:], embed.shards):
            path.unlink()
        assert views[-1]["shard"].n_unique() <= 4


def colors_held(embed: Embedder) -> set[int]:
    """The numbers of the colors with bytes in any shard."""
    index = read_shard_index(embed.shards / digest(ENCODER), encoder=ENCODER)
    return {int(Path(image_id).stem.split()[-1]) for image_id in index["image_id"]}
