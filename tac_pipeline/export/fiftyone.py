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

from tac_pipeline.export.image_folder import place_and_list
from tac_pipeline.export.result import Exported, ExportOptions, ExportResult
from tac_pipeline.export.safe_names import TakenNames, image_name


def class_name(cluster_id: int, name: str | None) -> str:
    """The label that FiftyOne shows for a cluster; with its id, because two clusters may have one name."""
    return f"{name or 'unnamed'} ({cluster_id})"


def write_fiftyone(folder: Path, result: ExportResult, options: ExportOptions) -> Exported:
    """Make a folder and fill it; images without a cluster are left out."""
    images, taken = result.placed, TakenNames()
    keys, files = [], []
    for image_id, uri in images.select("image_id", "uri").iter_rows():
        stem, _, suffix = image_name(image_id, uri or "").rpartition(".")
        # FiftyOne cuts a key at its last dot, and mixes up images with one key and two suffixes.
        key = taken.take(stem.replace(".", "_"), image_id)
        keys.append(key)
        files.append(f"data/{key}.{suffix}")
    (folder / "data").mkdir(parents=True)
    done = place_and_list(folder, result, files, options)
    failed = {image_id for image_id, _ in done.failed}
    clusters = images.select("cluster_id", "cluster_name").unique().sort("cluster_id")
    position = {cluster_id: row for row, cluster_id in enumerate(clusters["cluster_id"])}
    labels = {
        key: position[cluster_id]
        for key, image_id, cluster_id in zip(keys, images["image_id"], images["cluster_id"], strict=True)
        if image_id not in failed
    }
    classes = [class_name(*row) for row in clusters.iter_rows()]
    text = json.dumps({"classes": classes, "labels": labels}, ensure_ascii=False)
    (folder / "labels.json").write_text(text, encoding="utf-8")
    return done
