"""Tables of a store that was never clustered, for pages of any size and with any names."""

from typing import Any

import numpy as np
import polars as pl

from tac_pipeline.report import Changes, ReportTables, choose_images, describe
from tac_pipeline.report.contents import Contents
from tac_pipeline.results.review.duplicates import with_representatives
from tac_pipeline.results.review.marks import duplicate_groups, review_images
from tac_pipeline.sources.streaming import OverLimit
from tac_pipeline.store.comparison import compare_assignments

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(2)</script>.png",
    "a \"quoted\" 'name' `$(rm -rf ~)`; & <!--.jpg",
    "фото/кошка с бантом.jpg",
    "写真/猫😺.webp",
    "\u202egnp.exe\u2028line.png",
    "../../etc/passwd.jpg",
    "%00%2e%2e/{{7*7}}{% raw %}.jpg",
]


def made_up_tables(
    n_clusters: int,
    per_cluster: int = 12,
    *,
    empty: int = 0,
    names: list[str] | None = None,
    ids: list[str] | None = None,
    **more: Any,
) -> ReportTables:
    """Clusters of images around points of a circle; the last `empty` have none."""
    generator = np.random.default_rng(0)
    n = n_clusters * per_cluster
    cluster = np.repeat(np.arange(n_clusters, dtype=np.int32), per_cluster)
    known = [*(ids or []), *(f"folder {c}/image-{i:05d}.jpg" for i, c in enumerate(cluster))][:n]
    words = [*(names or []), *(f"thing {c}" for c in range(n_clusters + empty))][: n_clusters + empty]
    angle = 2 * np.pi * cluster / n_clusters
    spread = generator.normal(scale=0.02, size=(2, n))
    assignments = pl.DataFrame(
        {
            "image_id": known,
            "cluster_id": cluster,
            "confidence": generator.uniform(0.4, 1, n).astype(np.float32),
            "runner_up": (cluster + 1) % n_clusters,
            "similarity": generator.uniform(0.5, 0.9, n).astype(np.float32),
            "margin": generator.uniform(0, 1, n).astype(np.float32),
        }
    )
    images = pl.DataFrame(
        {"image_id": known, "content_hash": [f"{i:064x}" for i in range(n)], "width": 8, "height": 8, "error": None},
        schema_overrides={"width": pl.Int32, "height": pl.Int32, "error": pl.String},
    )
    equal = pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("f" * 64)).otherwise("content_hash").alias("content_hash")
    groups = duplicate_groups(images.with_columns(equal), pl.DataFrame(schema={"left": pl.String, "right": pl.String}))
    groups = with_representatives(groups, images, assignments.select("image_id", "similarity"))
    review = review_images(assignments, groups, border_margin=0.2, outlier_deviations=1.3)
    broken = pl.DataFrame(
        {
            "image_id": ["broken <b>bold</b>.jpg"],
            "content_hash": [""],
            "width": [0],
            "height": [0],
            "error": ["damaged: <script>alert(3)</script>"],
        },
        schema=images.schema,
    )
    return ReportTables(
        **{
            "store": "made-up",
            "made_at": 1_700_000_000.0,
            "clusters": _clusters(words, cluster, empty),
            "assignments": assignments,
            "review": review,
            "nouns": pl.DataFrame(
                {
                    "cluster_id": np.repeat(np.arange(n_clusters, dtype=np.int32), 2),
                    "noun": [f"noun {i // 2} {'first' if i % 2 == 0 else 'sécond'}" for i in range(2 * n_clusters)],
                    "weight": [0.75, 0.25] * n_clusters,
                }
            ),
            "image_map": pl.DataFrame(
                {
                    "image_id": known,
                    "x": 0.5 + 0.45 * np.cos(angle) + spread[0],
                    "y": 0.5 + 0.45 * np.sin(angle) + spread[1],
                }
            ),
            "images": pl.concat([images, broken]),
            **more,
        }
    )


def _clusters(words: list[str], cluster: np.ndarray, empty: int) -> pl.DataFrame:
    n_clusters = len(words) - empty
    sizes = [*np.bincount(cluster, minlength=n_clusters).tolist(), *[0] * empty]
    return pl.DataFrame(
        {
            "cluster_id": pl.Series(range(len(words)), dtype=pl.Int32),
            "name": words,
            "alternatives": [["other word", f"alias {number}"] for number in range(len(words))],
            "size": sizes,
            "share": [size / max(len(cluster), 1) for size in sizes],
            "confidence": [0.8 if size else None for size in sizes],
            "lineage": ["kept"] * len(words),
        }
    )


def made_up_tree(n_leaves: int) -> list[dict[str, Any]]:
    """A comb: every inner node joins one more leaf."""
    leaves = [
        {
            "node": leaf,
            "parent": n_leaves + max(leaf - 1, 0),
            "cluster_id": leaf,
            "name": f"thing {leaf}",
            "size": 12,
            "height": 0.0,
        }
        for leaf in range(n_leaves)
    ]
    inner = [
        {
            "node": n_leaves + step,
            "parent": n_leaves + step + 1 if step < n_leaves - 2 else None,
            "cluster_id": None,
            "name": f"branch {step}",
            "size": 12 * (step + 2),
            "height": 0.1 * (step + 1),
        }
        for step in range(n_leaves - 1)
    ]
    return leaves + inner


def made_up_changes(tables: ReportTables) -> Changes:
    """As if a third of the images had lain elsewhere, and one cluster had had another name."""
    before = tables.assignments.with_columns(
        cluster_id=pl.when(pl.int_range(pl.len()) % 3 == 0).then("runner_up").otherwise("cluster_id").cast(pl.Int32)
    )
    return Changes(4, 1_600_000_000.0, compare_assignments(before, tables.assignments), {0: "<i>old</i>", 999: None})


class ColorSource:
    """Reads every uri as the bytes that it maps to."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        self.asked.append(uri)
        try:
            data = self.files[uri]
        except KeyError as error:
            raise FileNotFoundError(uri) from error
        if limit is not None and len(data) > limit:
            raise OverLimit(len(data), limit)
        return data


def made_up_contents(
    tables: ReportTables, *, images_per_cluster: int = 24, map_images: int = 50_000, pictures: bool = True
) -> Contents:
    """The page's data; every picture is one small square of the image's own color."""
    chosen = choose_images(tables.review, images_per_cluster=images_per_cluster)
    drawn = {}
    if pictures:
        for place, hash_ in enumerate(tables.images["content_hash"]):
            if hash_ and place % 7:  # every seventh image has vanished
                drawn[hash_] = _square(place)
    return describe(tables, chosen, drawn, map_images=map_images, seed=0)


def _square(place: int) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (place * 37 % 256, place * 91 % 256, place * 53 % 256)).save(buffer, "WEBP")
    return buffer.getvalue()
