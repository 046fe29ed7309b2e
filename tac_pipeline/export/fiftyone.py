"""A folder that FiftyOne imports as fiftyone.types.FiftyOneImageClassificationDataset.

    DEST/
      data/0001.jpg           the images; the name without its suffix is the image's key
      labels.json             {"classes": ["sea horse (3)", ...], "labels": {"0001": 0, ...}}: a position in classes
      images.csv              file, image_id, cluster_id, cluster_name, confidence: links files to the store's images
      export.json

No place in the format for a confidence is read by all versions of FiftyOne, so images.csv holds it.
"""

from __future__ import annotations

import json
from pathlib import Path

from tac_pipeline.export.formats import Link
from tac_pipeline.export.image_files import place_images
from tac_pipeline.export.image_folder import LIST_NAME
from tac_pipeline.export.result import Exported, ExportResult
from tac_pipeline.export.safe_names import TakenNames, image_name
from tac_pipeline.export.tables import mapped
from tac_pipeline.progress import Progress


def class_name(cluster_id: int, name: str | None) -> str:
    """The label that FiftyOne shows for a cluster; with its id, because two clusters may have one name."""
    return f"{name or 'unnamed'} ({cluster_id})"


def write_fiftyone(
    folder: Path, result: ExportResult, *, link: Link | None, progress: Progress | None = None
) -> Exported:
    """Fill an empty folder; images without a cluster are left out."""
    if result.source is None:
        raise ValueError("a store of vectors has no image files")  # export_to has refused it already
    images, taken = result.placed, TakenNames()
    keys, files = [], []
    for image_id, uri in images.select("image_id", "uri").iter_rows():
        stem, _, suffix = image_name(image_id, uri or "").rpartition(".")
        # FiftyOne cuts a key at its last dot, and mixes up images with one key and two suffixes.
        key = taken.take(stem.replace(".", "_"), image_id)
        keys.append(key)
        files.append(f"data/{key}.{suffix}")
    (folder / "data").mkdir()
    errors = place_images(images, [folder / file for file in files], result.source, link=link, progress=progress)
    clusters = images.select("cluster_id", "cluster_name").unique().sort("cluster_id")
    position = {cluster_id: row for row, cluster_id in enumerate(clusters["cluster_id"])}
    labels = {
        key: position[cluster_id]
        for key, cluster_id, error in zip(keys, images["cluster_id"], errors, strict=True)
        if error is None
    }
    classes = [class_name(*row) for row in clusters.iter_rows()]
    text = json.dumps({"classes": classes, "labels": labels}, ensure_ascii=False)
    (folder / "labels.json").write_text(text, encoding="utf-8")
    failed = [(id_, error) for id_, error in zip(images["image_id"], errors, strict=True) if error is not None]
    fine = [error is None for error in errors]
    mapped(images, files).filter(fine).write_csv(folder / LIST_NAME, quote_style="non_numeric")
    return Exported(images=sum(fine), failed=failed)
