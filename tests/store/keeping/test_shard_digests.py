"""Shards from before checksums: read whole once, and from then on other bytes are told."""

from pathlib import Path

import pytest
from reference import random_unit_rows

from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.store.digests import known_digest
from tac_pipeline.store.keeping.shard_digests import take_in_shards
from tac_pipeline.store.parquet import write_table
from tac_pipeline.store.schemas import EMBEDDING_SHARD
from tac_pipeline.store.shards import read_shard

ENCODER, ROWS = "the encoder", 20


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A shard as an older version wrote it: a name that means nothing, pages without checksums."""
    path = tmp_path / "e" / "0123456789abcdef.parquet"
    path.parent.mkdir()
    ids, ones, none = [str(row) for row in range(ROWS)], [1] * ROWS, [None] * ROWS
    columns = {"image_id": ids, "version": ids, "content_hash": ids, "width": ones, "height": ones}
    vectors = random_unit_rows(ROWS, 8, 0)
    write_table(path, EMBEDDING_SHARD, {**columns, "error": none, "note": none, "embedding": vectors}, encoder=ENCODER)
    return path


def change_vectors(path: Path) -> None:
    """Noise over some values, at equal size: the file can be read as before."""
    data = path.read_bytes()
    place = data.find(read_shard(path, encoder=ENCODER)[1][3].astype("float16").tobytes()[:6])
    path.write_bytes(data[:place] + b"\x11\x22\x33" + data[place + 3 :])


def test_a_shard_that_was_taken_in_shows_other_bytes(shard: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        take_in_shards(["e/0123456789abcdef.parquet"], shard.parents[1], log=said.append)
    assert said == ["1 shards from before checksums were read whole, and have one now"]
    read_shard(shard, encoder=ENCODER)
    change_vectors(shard)
    with pytest.raises(ArtifactDamaged, match=r"has other bytes than were written.*tac check --repair") as told:
        read_shard(shard, encoder=ENCODER)
    assert told.value.file == shard


def test_one_that_was_not_is_read_as_it_is(shard: Path) -> None:
    change_vectors(shard)
    assert known_digest(shard) is None
    assert len(read_shard(shard, encoder=ENCODER)[0]) == ROWS


@pytest.mark.parametrize("text", ["", "no digest", "\xff"])
def test_a_spoiled_digest_is_none(shard: Path, text: str) -> None:
    shard.with_suffix(".sha256").write_text(text, encoding="latin-1")
    assert known_digest(shard) is None


def test_a_damaged_one_is_not_taken_in(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-20])
    with pytest.raises(ArtifactDamaged):
        take_in_shards(["e/0123456789abcdef.parquet"], shard.parents[1], log=print)
    assert known_digest(shard) is None
