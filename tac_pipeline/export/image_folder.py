"""One folder per cluster, with its name and id: torchvision's ImageFolder and datasets' imagefolder read this.

DEST/
  sea_horse-3/0001.jpg
  images.csv              file, image_id, cluster_id, cluster_name, confidence: links files to the store's images
  export.json
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tac_pipeline.export.image_files import place_images
from tac_pipeline.export.result import Exported, ExportOptions, ExportResult
from tac_pipeline.export.safe_names import TakenNames, image_name, safe_name
from tac_pipeline.export.tables import mapped

LIST_NAME = "images.csv"


def folder_name(cluster_id: int, name: str | None) -> str:
    """The folder of a cluster: a name that every file system accepts, and the id, which no other cluster has."""
    return f"{safe_name(name or '')}-{cluster_id}"


def write_image_folder(folder: Path, result: ExportResult, options: ExportOptions) -> Exported:
    """Make a folder and fill it; images without a cluster are left out."""
    folder.mkdir()
    files = files_in_folders(result.placed)
    for name in {file.partition("/")[0] for file in files}:
        (folder / name).mkdir()
    return place_and_list(folder, result, files, options)


def files_in_folders(images: pl.DataFrame) -> list[str]:
    """The file of every image, in the folder of its cluster: `sea_horse-3/0001.jpg`.

    Parameters
    ----------
    images : DataFrame with image_id, uri, cluster_id, cluster_name
        Every one has a cluster.
    """
    taken: dict[int, TakenNames] = {}
    files = []
    for image_id, uri, cluster_id, name in images.select("image_id", "uri", "cluster_id", "cluster_name").iter_rows():
        file = taken.setdefault(cluster_id, TakenNames()).take(image_name(image_id, uri or ""), image_id)
        files.append(f"{folder_name(cluster_id, name)}/{file}")
    return files


def place_and_list(folder: Path, result: ExportResult, files: list[str], options: ExportOptions) -> Exported:
    """Put the images that have a cluster at their files in a folder, and list them for the way back to the store."""
    if result.source is None:
        raise ValueError("a store of only vectors has no image files")  # export_to refuses it before
    images, targets = result.placed, [folder / file for file in files]
    errors = place_images(images, targets, result.source, link=options.link, progress=options.progress)
    failed = [(id_, error) for id_, error in zip(images["image_id"], errors, strict=True) if error is not None]
    fine = [error is None for error in errors]
    mapped(images, files).filter(fine).write_csv(folder / LIST_NAME, quote_style="non_numeric")
    return Exported(images=sum(fine), failed=failed)
