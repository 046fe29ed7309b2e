"""Published versions that a test makes from a few images and their clusters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.store.publication import Publication, Version

ClusterOf = Mapping[str, int | None]


def tables(cluster_of: ClusterOf) -> dict[str, pl.DataFrame]:
    ids = sorted({cluster for cluster in cluster_of.values() if cluster is not None})
    assignments = pl.DataFrame(
        {"image_id": list(cluster_of), "cluster_id": list(cluster_of.values())},
        schema={"image_id": pl.String, "cluster_id": pl.Int32},
    ).with_columns(cluster_name=pl.lit("a name"), confidence=0.9, runner_up=0, similarity=0.8, curated=False)
    clusters = pl.DataFrame({"cluster_id": ids}, schema={"cluster_id": pl.Int32}).with_columns(
        name=pl.lit("a name"),
        alternatives=pl.lit(["another"]),
        size=1,
        share=0.1,
        confidence=0.9,
        medoids=pl.lit(["a"]),
        lineage=pl.lit("born"),
        alternative_weights=pl.lit([0.1]),
        name_confidence=0.5,
        curated=False,
    )
    lineage = pl.DataFrame({"cluster_id": ids}, schema={"cluster_id": pl.Int32}).with_columns(
        entry=1, event=pl.lit("born"), other_id=None, shared=0, images_before=0, images_after=1
    )
    return {"assignments": assignments, "clusters": clusters, "lineage": lineage}


def publish(publication: Publication, cluster_of: ClusterOf, *, entry: int = 1) -> Version:
    return publication.publish(tables(cluster_of), source={"assignments": str(dict(cluster_of))}, entry=entry)


@dataclass(frozen=True)
class Part:
    """Rows as a result in segments gives them."""

    rows: ClusterOf

    @property
    def alone(self) -> bool:
        return False

    @property
    def digest(self) -> str:
        return digest(dict(self.rows))

    @property
    def assigned(self) -> str:
        return self.digest

    def frame(self) -> pl.DataFrame:
        schema = {"image_id": pl.String, "cluster_id": pl.Int32}
        table = pl.DataFrame(list(self.rows.items()), schema=schema, orient="row")
        return table.with_columns(cluster_name=pl.lit("a"), confidence=0.9, runner_up=0, similarity=0.8, curated=False)

    def sizes(self) -> pl.DataFrame:
        return self.frame().group_by("cluster_id").agg(images=pl.len())


def publish_parts(publication: Publication, parts: Sequence[ClusterOf]) -> Version:
    """Publish assignments in several files."""
    whole = {key: value for rows in parts for key, value in rows.items()}
    made = {**tables(whole), "assignments": [Part(rows) for rows in parts]}
    return publication.publish(made, source={"assignments": digest([dict(rows) for rows in parts])}, entry=1)
