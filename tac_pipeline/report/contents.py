"""The data on the page: plain values that its scripts read, bounded for any store."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from tac_pipeline.report.colors import color_clusters
from tac_pipeline.report.map_points import MAP_OFFSET, MAP_SCALE, group_places, pack_places
from tac_pipeline.store.comparison import Comparison

# Pictures in all clusters together: some 6 KB each, so the page stays below 50 MB.
MAX_PICTURES = 6_000
MIN_PER_CLUSTER = 4
# Shares of a cluster's pictures for what is worth a look; the rest are its most typical ones.
BORDER_SHARE, OUTLIER_SHARE = 0.25, 0.125
DUPLICATE_GROUPS, DUPLICATE_MEMBERS = 60, 6
LISTED_ERRORS = 1_000
LISTED_CHANGES = 200

Json = dict[str, Any]


@dataclass(frozen=True)
class Changes:
    """The difference from an earlier published version.

    Attributes
    ----------
    version : int
        Its number.
    made_at : float
        Seconds since 1970.
    comparison : Comparison
        From it to the result on the page.
    names : dict of cluster id to str or None
        The names in that version.
    """

    version: int
    made_at: float
    comparison: Comparison
    names: Mapping[int, str | None]


@dataclass(frozen=True)
class Counts:
    """What is counted over all images of a store.

    Attributes
    ----------
    images, unreadable : int
    marks : DataFrame with cluster_id, border, outlier
        How many images are so marked.
    duplicates : DataFrame with duplicate_group, images
    """

    images: int
    unreadable: int
    marks: pl.DataFrame
    duplicates: pl.DataFrame


@dataclass(frozen=True)
class ReportTables:
    """The tables that a page is made of, and facts about the store.

    Attributes
    ----------
    clusters, assignments, review, nouns, image_map : DataFrame
        The tables of these names (nouns: cluster_nouns). Of a large store those about images have the rows that a page
        may show: those of `narrow_review`, of the largest groups of duplicates, and of a sample for the map.
    images : DataFrame with image_id, content_hash, width, height, error
    counts : Counts, optional
        Where the tables do not have all images.
    tree : list of dict, optional
        Nodes with node, parent (None for the root), cluster_id (None for an inner node), name, size, height.
    changes : Changes, optional
    passed_over : sequence of (rule, files)
        What was not taken for an image, the most first.
    problems : sequence of (path, reason)
        What could not be looked at.
    pictures : bool
        Whether the source has image files at all.
    """

    store: str
    made_at: float
    clusters: pl.DataFrame
    assignments: pl.DataFrame
    review: pl.DataFrame
    nouns: pl.DataFrame
    image_map: pl.DataFrame
    images: pl.DataFrame
    passed_over: Sequence[tuple[str, int]] = ()
    problems: Sequence[tuple[str, str]] = ()
    pictures: bool = True
    tree: Sequence[Mapping[str, Any]] | None = None
    changes: Changes | None = None
    counts: Counts | None = None

    @property
    def counted(self) -> Counts:
        """What is counted over all images."""
        if self.counts is not None:
            return self.counts
        marks = self.review.group_by("cluster_id").agg(pl.col("border").sum(), pl.col("outlier").sum())
        groups = self.review.drop_nulls("duplicate_group").group_by("duplicate_group").agg(images=pl.len())
        return Counts(len(self.images), len(self.images) - self.images["error"].null_count(), marks, groups)


@dataclass(frozen=True)
class Contents:
    """The page's data: the summary for every view, the map, and one pack of images for each cluster.

    Attributes
    ----------
    summary : dict
    map : dict
        Packed arrays.
    map_ids : list of str
    packs : list of dict, one per cluster
    duplicates : dict
        The pack of the largest groups of near-duplicates.
    """

    summary: Json
    map: Json
    map_ids: list[str]
    packs: list[Json] = field(repr=False)
    duplicates: Json = field(repr=False)


def choose_images(review: pl.DataFrame, *, images_per_cluster: int) -> pl.DataFrame:
    """The images that clusters show: the most typical, and some on the border or far out.

    Among near-duplicates in one cluster only the most typical is shown.

    Returns
    -------
    DataFrame with image_id, cluster_id, in each cluster the most typical first
    """
    placed = review.filter(pl.col("cluster_id").is_not_null()).with_columns(
        twin=pl.coalesce(pl.col("duplicate_group"), -1 - pl.int_range(pl.len(), dtype=pl.Int32))
    )
    ranked = placed.sort("cluster_id", "typicality", "image_id", descending=[False, True, False]).unique(
        ["cluster_id", "twin"], keep="first", maintain_order=True
    )
    per_cluster = most_per_cluster(ranked["cluster_id"].n_unique(), images_per_cluster=images_per_cluster)
    border = pl.col("border") & ~pl.col("outlier")
    outlying = pl.when("outlier").then(pl.col("typicality").rank("ordinal").over("cluster_id", "outlier"))
    between = pl.when(border).then(pl.col("margin").rank("ordinal").over("cluster_id", border))
    special = (outlying <= int(per_cluster * OUTLIER_SHARE)) | (between <= int(per_cluster * BORDER_SHARE))
    marked = ranked.with_columns(special=special.fill_null(False))
    taken = pl.col("special").sum().over("cluster_id")
    plain = pl.when(~pl.col("special")).then(pl.col("special").not_().cum_sum().over("cluster_id"))
    chosen = marked.filter(pl.col("special") | (plain <= per_cluster - taken))
    return chosen.select("image_id", "cluster_id")


def narrow_review(review: pl.DataFrame, *, images_per_cluster: int) -> pl.DataFrame:
    """The rows of a part of a store that `choose_images` may take when it chooses among those of all parts."""
    placed = review.filter(pl.col("cluster_id").is_not_null())
    alone = pl.col("duplicate_group").is_null()
    first = pl.struct("cluster_id", "duplicate_group").is_first_distinct()
    ranked = placed.sort("typicality", "image_id", descending=[True, False]).filter(alone | first)
    border = pl.col("border") & ~pl.col("outlier")
    typical = pl.int_range(pl.len()).over("cluster_id") < images_per_cluster
    outlying = pl.when("outlier").then(pl.col("typicality").rank("ordinal").over("cluster_id", "outlier"))
    between = pl.when(border).then(pl.col("margin").rank("ordinal").over("cluster_id", border))
    special = (outlying <= int(images_per_cluster * OUTLIER_SHARE)) | (
        between <= int(images_per_cluster * BORDER_SHARE)
    )
    return ranked.filter(typical | special.fill_null(False))


def most_per_cluster(n_clusters: int, *, images_per_cluster: int) -> int:
    """How many images each cluster shows at most, so that the page stays small."""
    return min(images_per_cluster, max(MIN_PER_CLUSTER, MAX_PICTURES // max(n_clusters, 1)))


def choose_duplicates(review: pl.DataFrame, sizes: pl.DataFrame | None = None) -> pl.DataFrame:
    """Some members of the largest groups of near-duplicates: image_id, duplicate_group; the largest group first.

    In each group the image that stands for it is the first.

    Parameters
    ----------
    review : DataFrame with image_id, duplicate_group, duplicate_of
    sizes : DataFrame with duplicate_group, images, optional
        Where the review does not have all members.
    """
    there = review.drop_nulls("duplicate_group").select("image_id", "duplicate_group", "duplicate_of")
    counted = there.group_by("duplicate_group").agg(images=pl.len()) if sizes is None else sizes
    largest = counted.sort(["images", "duplicate_group"], descending=[True, False]).head(DUPLICATE_GROUPS)
    places = largest.select("duplicate_group").with_row_index("place")
    groups = there.join(places, on="duplicate_group").sort("place", pl.col("duplicate_of").is_not_null(), "image_id")
    return (
        groups.group_by("duplicate_group", maintain_order=True)
        .head(DUPLICATE_MEMBERS)
        .select("image_id", "duplicate_group")
    )


def describe(
    tables: ReportTables,
    chosen: pl.DataFrame,
    pictures: Mapping[str, bytes],
    *,
    map_images: int,
    seed: int,
) -> Contents:
    """Put the page's data together.

    Parameters
    ----------
    chosen : DataFrame with image_id, cluster_id
        From `choose_images`.
    pictures : mapping of content hash to WebP
        An image without one gets a placeholder.
    map_images : int
        A larger store shows a sample on the map, which includes the images that clusters show.
    seed : int
        Of that sample.
    """
    clusters = tables.clusters.sort("size", "cluster_id", descending=[True, False])
    position = {id_: place for place, id_ in enumerate(clusters["cluster_id"])}
    twins = choose_duplicates(tables.review, tables.counted.duplicates)
    listed = pl.concat([chosen.select("image_id"), twins.select("image_id")]).unique()
    facts = (
        listed.join(tables.review, on="image_id")
        .join(tables.assignments.select("image_id", "confidence", "runner_up"), on="image_id")
        .join(tables.images.select("image_id", "content_hash", "width", "height"), on="image_id")
    )
    shown = chosen.select("image_id").join(facts, on="image_id", maintain_order="left")
    parts = shown.partition_by("cluster_id", as_dict=True, maintain_order=True)
    packs = [_pack(parts.get((id_,)), position, pictures) for id_ in position]
    placed = tables.image_map.join(tables.assignments.select("image_id", "cluster_id"), on="image_id")
    points = _points(placed, shown, position, map_images=map_images, seed=seed)
    centers = group_places(placed, list(position))
    return Contents(
        summary=_summary(tables, clusters, centers, position),
        map=_packed_map(points),
        map_ids=points["image_id"].to_list(),
        packs=packs,
        duplicates=_duplicates(twins, tables.counted.duplicates, facts, position, pictures),
    )


def _pack(rows: pl.DataFrame | None, position: Mapping[int, int], pictures: Mapping[str, bytes]) -> Json:
    if rows is None:
        return {"images": [], "pictures": []}
    return {
        "images": [_image(row, position) for row in rows.iter_rows(named=True)],
        "pictures": [_encoded(pictures.get(hash_)) for hash_ in rows["content_hash"]],
    }


def _image(row: Mapping[str, Any], position: Mapping[int, int]) -> Json:
    return {
        "id": row["image_id"],
        "cluster": position.get(row["cluster_id"], -1),
        "typicality": _rounded(row["typicality"]),
        "margin": _rounded(row["margin"]),
        "confidence": _rounded(row["confidence"]),
        "runnerUp": position.get(row["runner_up"], -1),
        "width": row["width"],
        "height": row["height"],
        "border": row["border"],
        "outlier": row["outlier"],
        "group": row["duplicate_group"],
        "copyOf": row["duplicate_of"],
    }


def _encoded(picture: bytes | None) -> str | None:
    return None if picture is None else base64.b64encode(picture).decode()


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _summary(tables: ReportTables, clusters: pl.DataFrame, centers: np.ndarray, position: Mapping[int, int]) -> Json:
    errors = tables.images.filter(pl.col("error").is_not_null()).sort("image_id")
    counted = tables.counted
    by_id = {row["cluster_id"]: row for row in counted.marks.iter_rows(named=True)}
    nouns = {
        id_: [[noun, _rounded(weight)] for noun, weight in rows.select("noun", "weight").iter_rows()]
        for (id_,), rows in tables.nouns.group_by(["cluster_id"], maintain_order=True)
    }
    colors = color_clusters(centers, clusters["size"].to_list())
    return {
        "store": tables.store,
        "madeAt": tables.made_at,
        "images": counted.images,
        "readable": counted.images - counted.unreadable,
        "hasPictures": tables.pictures,
        "border": int(counted.marks["border"].sum()),
        "outliers": int(counted.marks["outlier"].sum()),
        "duplicates": {"groups": len(counted.duplicates), "images": int(counted.duplicates["images"].sum())},
        "clusters": [
            {
                "id": row["cluster_id"],
                "name": row["name"],
                "alternatives": row["alternatives"],
                "size": row["size"],
                "share": row["share"],
                "confidence": _rounded(row["confidence"]),
                "lineage": row["lineage"],
                # Columns that not every clusters table has.
                "nameConfidence": _rounded(row.get("name_confidence")),
                "curated": bool(row.get("curated")),
                "nouns": nouns.get(row["cluster_id"], []),
                "border": by_id.get(row["cluster_id"], {}).get("border", 0),
                "outliers": by_id.get(row["cluster_id"], {}).get("outlier", 0),
                "color": color,
                "x": _number(center[0]),
                "y": _number(center[1]),
            }
            for row, color, center in zip(clusters.iter_rows(named=True), colors, centers, strict=True)
        ],
        "unreadable": {
            "count": counted.unreadable,
            "rows": [list(row) for row in errors.select("image_id", "error").head(LISTED_ERRORS).iter_rows()],
            "problems": [list(row) for row in tables.problems[:LISTED_ERRORS]],
            "passedOver": [list(row) for row in tables.passed_over[:LISTED_ERRORS]],
        },
        "tree": None if tables.tree is None else [_node(node, position) for node in tables.tree],
        "changes": None if tables.changes is None else _changes(tables.changes, tables.clusters),
    }


def _number(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def _node(node: Mapping[str, Any], position: Mapping[int, int]) -> Json:
    cluster = node["cluster_id"]
    return {
        "node": node["node"],
        "parent": node["parent"],
        "cluster": None if cluster is None else position.get(cluster),
        "name": node["name"],
        "size": node["size"],
        "height": _rounded(node["height"]),
    }


def _changes(changes: Changes, clusters: pl.DataFrame) -> Json:
    found = changes.comparison
    now = dict(clusters.select("cluster_id", "name").iter_rows())
    known = set(now) & set(changes.names)
    renamed = [[id_, changes.names[id_], now[id_]] for id_ in sorted(known) if changes.names[id_] != now[id_]]
    return {
        "version": changes.version,
        "madeAt": changes.made_at,
        "moved": found.moved,
        "came": found.came,
        "gone": found.gone,
        "known": found.known,
        "renamed": renamed,
        "clusters": [
            {**row, "name": now.get(row["cluster_id"], changes.names.get(row["cluster_id"]))}
            for row in found.clusters.iter_rows(named=True)
        ],
        "images": [list(row) for row in found.images.head(LISTED_CHANGES).iter_rows()],
        "changed": len(found.images),
        "names": {str(id_): name for id_, name in {**changes.names, **now}.items()},
    }


def _points(
    placed: pl.DataFrame, shown: pl.DataFrame, position: Mapping[int, int], *, map_images: int, seed: int
) -> pl.DataFrame:
    """The images on the map, each with its position in its cluster's pack, or -1."""
    places = shown.select("image_id", slot=pl.int_range(pl.len()).over("cluster_id").cast(pl.Int32))
    numbers = pl.DataFrame(
        {"cluster_id": list(position), "cluster": list(position.values())},
        schema={"cluster_id": pl.Int32, "cluster": pl.Int32},
    )
    points = (
        placed.join(numbers, on="cluster_id")
        .join(places, on="image_id", how="left")
        .with_columns(pl.col("slot").fill_null(-1))
    )
    if len(points) <= map_images:
        return points.sort("image_id")
    order = np.random.default_rng(seed).permutation(len(points))
    first = points.sort("image_id").with_columns(order=pl.Series(order), plain=pl.col("slot") < 0)
    return first.sort("plain", "order").head(map_images).sort("image_id")


def _packed_map(points: pl.DataFrame) -> Json:
    def packed(values: np.ndarray, kind: str) -> str:
        return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode()

    return {
        "count": len(points),
        "scale": MAP_SCALE,
        "offset": MAP_OFFSET,
        "x": packed(pack_places(points["x"].to_numpy()), "<u2"),
        "y": packed(pack_places(points["y"].to_numpy()), "<u2"),
        "cluster": packed(points["cluster"].to_numpy(), "<u2"),
        "slot": packed(points["slot"].to_numpy(), "<i2"),
    }


def _duplicates(
    twins: pl.DataFrame,
    counted: pl.DataFrame,
    facts: pl.DataFrame,
    position: Mapping[int, int],
    pictures: Mapping[str, bytes],
) -> Json:
    sizes = dict(counted.select("duplicate_group", "images").iter_rows())
    members = twins.select("image_id").join(facts, on="image_id", maintain_order="left")

    def groups() -> Iterator[Json]:
        for (number,), rows in members.group_by(["duplicate_group"], maintain_order=True):
            yield {"group": number, "size": sizes[number], **_pack(rows, position, pictures)}

    return {"groups": list(groups())}
