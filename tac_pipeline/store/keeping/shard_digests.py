"""Shards from before a shard's name was its digest are taken in: each gets a small file beside it with its digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from tac_pipeline.digest import file_sha256
from tac_pipeline.files import write_atomically
from tac_pipeline.store.digests import beside, known_digest
from tac_pipeline.store.shards import require_whole_shard


def take_in_shards(names: Iterable[str], shards: Path, *, log: Callable[[str], None]) -> None:
    """Read the older of some shards whole, once, and keep their digests.

    Parameters
    ----------
    names : iterable of str
        Paths in the folder of shards.

    Raises
    ------
    ArtifactDamaged
        One of them cannot be read whole.
    """
    taken_in = 0
    for path in (shards / name for name in names):
        if known_digest(path) is None:
            require_whole_shard(path)
            write_atomically(beside(path), file_sha256(path))
            taken_in += 1
    if taken_in:
        log(f"{taken_in:,} shards from before checksums were read whole, and have one now")
