"""What is in force: ids and names, which are the published ones, else those that were last current; and the view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.schemas import CLUSTERS, CRITERION_VIEW

if TYPE_CHECKING:
    from tac_pipeline.method.words.criterion import View


def read_view(criterion: Artifact) -> View:
    """How images are seen by the criterion that an artifact holds."""
    from tac_pipeline.method.words.criterion import View

    table = criterion.frame(CRITERION_VIEW)
    return View(np.stack(table["weights"].to_list()).astype(np.float32), table["center"].to_numpy())


def entry_in_force(store: Store) -> int | None:
    """The ledger's entry with the ids in force: the published one, else the one that was last current."""
    from tac_pipeline.store.publication import Publication

    published = Publication(store.published_folder).latest()
    if published is not None:
        return published.entry
    current = store.current("cluster_ids")
    # An artifact that is older than the ledger has no entry.
    return None if current is None else current.artifact.facts.get("entry")


def next_id_elsewhere(store: Store) -> int:
    """Higher than every published or kept cluster id: a ledger that was restored from a backup may lack some."""
    from tac_pipeline.store.publication import Publication

    made = (int(version.facts.get("next_id", 0)) for version in store.versions("cluster_ids"))
    return max([Publication(store.published_folder).next_id(), *made])


def names_in_force(store: Store) -> dict[int, str]:
    """The names in force of the cluster ids."""
    table = _clusters_in_force(store)
    return {} if table is None else dict(table.select("cluster_id", "name").drop_nulls().iter_rows())


def names_to_keep(store: Store) -> dict[int, str]:
    """Those of them that nouns gave: no name of a corrections file, which names it again, no unnamed one's label."""
    from tac_pipeline.method.words.names import MIN_CONFIDENCE

    table = _clusters_in_force(store)
    if table is None:
        return {}
    if "name_confidence" in table.columns:  # not in versions that are older than corrections
        sure, by_people = pl.col("name_confidence"), pl.col("curated") & (pl.col("name_confidence") == 1)
        table = table.filter(sure.is_null() | ((sure >= MIN_CONFIDENCE) & ~by_people))
    return dict(table.select("cluster_id", "name").drop_nulls().iter_rows())


def _clusters_in_force(store: Store) -> pl.DataFrame | None:
    """The table of clusters in force: the published one, else the one that was last current."""
    from tac_pipeline.store.publication import Publication

    published = Publication(store.published_folder).latest()
    if published is not None:
        return published.clusters
    current = store.whole_current("clusters")
    return None if current is None else current.artifact.frame(CLUSTERS)
