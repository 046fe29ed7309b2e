"""The README's two sheets of the demo: `python -m scripts.draw_sheets`, after `make demo`.

docs/pictures/demo-pictures.webp   100 pictures in their order
docs/pictures/demo-groups.webp     every group with its name and its most typical pictures
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from PIL import Image, ImageDraw, ImageFont

from assets.engine.execute import open_store
from assets.engine.step import Inputs
from assets.results import clusters
from tac_pipeline.demo.picture_store import picture_path
from tac_pipeline.settings.project import load_project

FOLDER = Path(__file__).parents[1] / "docs" / "pictures"
QUALITY = 80
# The sheet of groups, in pixels.
THUMB, LABEL, GAP, COLUMNS, SHOWN = 52, 20, 12, 3, 7


def main(settings: Annotated[Path, typer.Option()] = Path("tac.yaml")) -> None:
    """Write both sheets from the store that the settings describe."""
    project = load_project(settings)
    source = Path(project.resolve(project.settings.images.source))
    artifact = open_store(project).require_current(clusters.name).artifact
    table = Inputs(project, {clusters.name: artifact}).table(clusters)
    sheet = Image.new("RGB", (10 * 96, 10 * 96))
    for n in range(100):
        # 7 and the number of kinds have no common divisor: neighbors on the sheet are of different kinds.
        with Image.open(source / picture_path(7 * n)) as picture:
            sheet.paste(picture.resize((96, 96), Image.Resampling.LANCZOS), (n % 10 * 96, n // 10 * 96))
    sheet.save(FOLDER / "demo-pictures.webp", quality=QUALITY)

    rows = -(-len(table) // COLUMNS)
    width, height = SHOWN * THUMB + GAP, THUMB + LABEL + GAP
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for n, row in enumerate(table.sort("size", descending=True).iter_rows(named=True)):
        left, top = GAP + n % COLUMNS * width, GAP + n // COLUMNS * height
        draw.text((left, top), f"{row['name']}", fill="black", font=font)
        draw.text((left + SHOWN * THUMB, top), f"{row['size']}", fill="gray", font=font, anchor="ra")
        for k, image_id in enumerate(row["medoids"][:SHOWN]):
            with Image.open(source / image_id) as picture:
                thumb = picture.resize((THUMB - 2, THUMB - 2), Image.Resampling.LANCZOS)
            sheet.paste(thumb, (left + k * THUMB, top + LABEL))
    sheet.save(FOLDER / "demo-groups.webp", quality=QUALITY)


if __name__ == "__main__":
    typer.run(main)
