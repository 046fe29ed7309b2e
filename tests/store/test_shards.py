"""Many small shards become few: no row is lost or doubled, even after an interruption, and the joining ends."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from photo_embedder import ENCODER, Embedder, color_vector, png, shards_of, write_photos
from stored_shards import DIM, sent, write_view
from stored_shards import ENCODER as GIVEN

from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.store import shards as shards_module
from tac_pipeline.store.parquet import add_table
from tac_pipeline.store.shards import (
    IN_PROCESS,
    ShardPart,
    gather_vectors,
    map_shards,
    read_shard,
    read_shard_index,
    unnamed_shards,
)


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
    assert len(unnamed_shards(shards_of(views), embed.shards)) == 1
    assert len(unnamed_shards(shards_of(views[-1:]), embed.shards)) == 4
    assert len(unnamed_shards(shards_of([*views[:1], views[-1]]), embed.shards)) == 3


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

    def add(*arguments: Any, **settings: Any) -> Path:
        if len(placed) > joined:  # the first is that of the new photograph
            raise KeyboardInterrupt
        placed.append(add_table(*arguments, **settings))
        return placed[-1]

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shards_module, "add_table", add)
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
    for path in unnamed_shards(shards_of([view]), embed.shards):
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
        for path in unnamed_shards(shards_of(views[-2:]), embed.shards):
            path.unlink()
        assert views[-1]["shard"].n_unique() <= 4


def colors_held(embed: Embedder) -> set[int]:
    """The numbers of the colors with bytes in any shard."""
    index = read_shard_index(embed.shards / digest(ENCODER), encoder=ENCODER)
    return {int(Path(image_id).stem.split()[-1]) for image_id in index["image_id"]}


def ids_and_sum(part: ShardPart) -> tuple[list[str], np.ndarray]:
    """Some work on a shard that another process can do."""
    return part.rows["image_id"].to_list(), part.read_vectors().sum(axis=0)


def plain_loop(view: pl.DataFrame, shards: Path) -> list[tuple[list[str], np.ndarray]]:
    """What `ids_and_sum` finds in every shard, row by row."""
    found = []
    for name in dict.fromkeys(view["shard"]):
        places = [
            (id_, row) for id_, shard, row in view.select("image_id", "shard", "row").iter_rows() if shard == name
        ]
        _, vectors = read_shard(shards / name, encoder=GIVEN)
        found.append(([id_ for id_, _ in places], np.stack([vectors[row] for _, row in places]).sum(axis=0)))
    return found


class Recording:
    """An executor that pickles all work and all results, makes the parts ahead, and notes what it was given."""

    def __init__(self, ahead: int = 1) -> None:
        self.ahead, self.names = ahead, list[str]()

    def map(self, function: Callable[[Any], Any], parts: Iterable[Any], /) -> Iterator[Any]:
        waiting: list[Any] = []
        for part in parts:
            self.names.append(part.name)
            waiting.append(sent((function, part)))
            if len(waiting) >= self.ahead:
                yield self._done(waiting.pop(0))
        yield from map(self._done, waiting)

    def _done(self, work: tuple[Callable[[Any], Any], Any]) -> Any:
        function, part = work
        return sent(function(part))


def require_equal_to_plain_loop(view: pl.DataFrame, shards: Path, found: Iterable[tuple[ShardPart, Any]]) -> None:
    taken, plain = list(found), plain_loop(view, shards)
    assert [part.name for part, _ in taken] == view["shard"].unique(maintain_order=True).to_list()
    for (part, (ids, total)), (plain_ids, plain_total) in zip(taken, plain, strict=True):
        assert part.rows["image_id"].to_list() == ids == plain_ids
        np.testing.assert_allclose(total, plain_total, atol=1e-5)


@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 1), ahead=st.integers(1, 6))
def test_a_pass_equals_a_plain_loop_in_order_whatever_the_view_and_the_executor(
    tmp_path_factory: pytest.TempPathFactory, seed: int, share: float, ahead: int
) -> None:
    shards = tmp_path_factory.mktemp("shards")
    whole, _ = write_view(shards, [3, 8, 1, 5])
    view = whole.sample(max(1, int(share * len(whole))), shuffle=True, seed=seed)
    for executor in (IN_PROCESS, Recording(ahead)):
        found = map_shards(ids_and_sum, view, shards, encoder=GIVEN, executor=executor)
        require_equal_to_plain_loop(view, shards, found)


def test_an_executor_of_the_standard_library_serves(tmp_path: Path) -> None:
    view, _ = write_view(tmp_path, [3, 8, 1, 5])
    with ThreadPoolExecutor(2) as executor:
        found = map_shards(ids_and_sum, view, tmp_path, encoder=GIVEN, executor=executor)
        require_equal_to_plain_loop(view, tmp_path, found)


def test_the_executor_given_does_all_of_the_work(tmp_path: Path) -> None:
    view, _ = write_view(tmp_path, [3, 8, 1])
    executor = Recording()
    done = list(map_shards(ids_and_sum, view, tmp_path, encoder=GIVEN, executor=executor))
    assert executor.names == [part.name for part, _ in done] == ["e/0.parquet", "e/1.parquet", "e/2.parquet"]

    class Idle:
        def map(self, function: Callable[[Any], Any], parts: Iterable[Any], /) -> list[Any]:
            return ["not the function's" for _ in parts]

    found = map_shards(ids_and_sum, view, tmp_path, encoder=GIVEN, executor=Idle())
    assert [result for _, result in found] == ["not the function's"] * 3


def test_in_this_process_a_shard_is_read_when_its_result_is_asked_for(tmp_path: Path) -> None:
    view, _ = write_view(tmp_path, [3, 8, 1])
    events: list[object] = []

    def look(part: ShardPart) -> int:
        events.append(f"read {part.name}")
        return len(part.rows)

    found = map_shards(look, view, tmp_path, encoder=GIVEN, progress=lambda done, total: events.append((done, total)))
    assert events == []
    for part, n_rows in found:
        events.append(f"took {part.name}, {n_rows}")
    expected: list[object] = []
    for number, (n_rows, done) in enumerate([(3, 3), (8, 11), (1, 12)]):
        expected += [f"read e/{number}.parquet", f"took e/{number}.parquet, {n_rows}", (done, 12)]
    assert events == expected


def test_a_pass_over_no_image_reads_nothing_and_reports_nothing(tmp_path: Path) -> None:
    view, _ = write_view(tmp_path, [3])
    told: list[tuple[int, int]] = []
    found = map_shards(ids_and_sum, view.clear(), tmp_path, encoder=GIVEN, progress=lambda *counts: told.append(counts))
    assert list(found) == []
    assert told == []


@pytest.mark.parametrize("executor", [IN_PROCESS, Recording(), Recording(ahead=3)])
def test_an_error_in_a_shard_names_it_and_what_came_before_is_given(tmp_path: Path, executor: Any) -> None:
    view, _ = write_view(tmp_path, [3, 8, 1])
    path = tmp_path / "e/1.parquet"
    found = map_shards(fail_at_eight, view, tmp_path, encoder=GIVEN, executor=executor)
    assert next(found)[1] == 3
    with pytest.raises(ValueError, match="eight rows") as raised:
        next(found)
    assert raised.value.__notes__ == [f"This happened in shard {path}."]
    path.write_bytes(b"no shard any more")
    damaged = map_shards(ids_and_sum, view, tmp_path, encoder=GIVEN, executor=executor)
    next(damaged)
    with pytest.raises(ArtifactDamaged, match=r"1\.parquet"):
        next(damaged)


def fail_at_eight(part: ShardPart) -> int:
    """The number of rows, unless it is eight."""
    if len(part.rows) == 8:
        raise ValueError("eight rows")
    return len(part.rows)


@given(order=st.permutations(range(17)), count=st.integers(1, 17))
def test_gathering_equals_taking_row_by_row(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], count: int
) -> None:
    shards = tmp_path_factory.mktemp("shards")
    whole, vectors = write_view(shards, [3, 8, 1, 5])
    found = gather_vectors(whole[order[:count]], shards, encoder=GIVEN)
    assert found.shape == (count, DIM)
    np.testing.assert_array_equal(found, vectors[order[:count]])
