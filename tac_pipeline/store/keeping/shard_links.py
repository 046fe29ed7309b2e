"""What a version of image_embeddings says of the shards that it names: their sizes, and digests of the older ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tac_pipeline.store.artifacts import SHARDS_NAME
from tac_pipeline.store.digests import describe_files, is_named_by_digest
from tac_pipeline.store.shards import require_whole_shard

Links = dict[str, int | dict[str, Any]]


def describe_shards(
    names: Iterable[str], shards: Path, *, known: Iterable[Mapping[str, Any]], log: Callable[[str], None]
) -> Links:
    """The links of an artifact to shards (see Artifact).

    Shards from before a shard's name was its digest are read whole once, and then have a digest here.

    Parameters
    ----------
    names : iterable of str
        Paths in the folder of shards.
    shards : Path
    known : iterable of mapping
        The links of the kept versions.

    Raises
    ------
    ArtifactDamaged
        An older shard cannot be read whole.
    """
    told = {name: link for links in known for name, link in links.items() if isinstance(link, dict)}
    found: Links = {}
    taken_in = 0
    for name in names:
        path, link = shards / name, f"{SHARDS_NAME}/{name}"
        size = path.stat().st_size
        if is_named_by_digest(path):
            found[link] = size
        elif link in told and told[link]["size"] == size:
            found[link] = told[link]
        else:
            require_whole_shard(path)
            found[link] = describe_files([path])[path.name]
            taken_in += 1
    if taken_in:
        log(f"{taken_in:,} shards from before checksums were read whole, and have one now")
    return found
