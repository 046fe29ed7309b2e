"""From the source to the list of its images: the first step, and what it refuses."""

from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.ui import previews
from tac_pipeline.errors import InputError, SourceError, first_few
from tac_pipeline.settings.keys import Images
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact
from tac_pipeline.store.schemas import (
    IMAGE_MANIFEST,
    PASSED_OVER,
    PROBLEMS,
    TRAINING_SET,
)

if TYPE_CHECKING:
    from tac_pipeline.sources import Listing, Source


# The source itself, which Dagster observes.
IMAGE_STORE = "image_store"


def list_source(project: Project) -> "Listing":
    """What is in the source now; refused when too many known images would be dropped.

    Known images below a path that cannot be looked at now are kept as they were known: they are not gone.

    Raises
    ------
    SourceError
        The source is absent, empty or cannot be listed, or has lost a larger share of images than images.max_loss.
    """
    from tac_pipeline.sources import versions_by_content

    settings, source = project.settings.images, open_project_source(project)
    listing = source.listing()
    known = _known_images(project)
    images = listing.images
    if settings.compare == "content" and source.reader is not None:
        images = versions_by_content(source.reader, images, max_bytes=settings.max_bytes)
    if known is not None:
        lost = known.join(images, on="image_id", how="anti")
        kept = _below(lost, listing.problems["path"].to_list())
        _refuse_sudden_loss(project, lost.join(kept, on="image_id", how="anti"), len(known))
        images = pl.concat([images, kept.select(images.columns)]).sort("image_id")
    return replace(listing, images=images)


def open_project_source(project: Project) -> "Source":
    """The source that the settings name."""
    from tac_pipeline.sources import Rules, open_source, open_sources
    from tac_pipeline.store.listings import KeptListings

    images = project.settings.images
    rules = Rules(images.exclude, own=[str(project.data_folder)], follow_links=images.follow_links)
    kept = KeptListings(open_store(project).listings_folder)
    if isinstance(images.source, str):
        return open_source(project.resolve(images.source), listings=kept, rules=rules, timeout=images.timeout)
    return open_sources(
        [project.resolve(place) for place in images.source], listings=kept, rules=rules, timeout=images.timeout
    )


def _known_images(project: Project) -> pl.DataFrame | None:
    """The manifest before, if it is of this source."""
    current = open_store(project).whole_current(image_manifest.name)
    if current is None or current.written.get("images.source") != project.settings.images.source:
        return None
    return current.artifact.frame(IMAGE_MANIFEST)


def _below(lost: pl.DataFrame, closed: list[str]) -> pl.DataFrame:
    """Those of the images that are below paths that could not be looked at."""
    if lost.is_empty() or not closed:
        return lost.clear()
    return lost.filter(pl.any_horizontal(pl.col("image_id").str.starts_with(f"{path}/") for path in closed))


def _refuse_sudden_loss(project: Project, lost: pl.DataFrame, known: int) -> None:
    images = project.settings.images
    if len(lost) > images.max_loss * known:
        shown, places = first_few(lost["image_id"].to_list(), 3), ", ".join(images.places)
        raise SourceError(
            f"{len(lost):,} of {known:,} known images are gone from {places} ({shown}), a larger share "
            f"than images.max_loss ({images.max_loss:g}) allows; nothing was dropped. If they were removed on purpose: "
            "`tac set images.max_loss=1`, run, and set it back."
        )


def _list_source(inputs: Inputs, images: Images) -> Values:
    from tac_pipeline.sources import listing_digest, others_digest

    inputs.carry["listing"] = list_source(inputs.project)
    found = inputs.carry["listing"]
    require_as_many_images(inputs.project, len(found.images))
    others = others_digest(found)
    return {"listing": listing_digest(found.images)} | ({} if others is None else {"others": others})


def require_as_many_images(project: Project, images: int) -> None:
    """Refuse more groups than images before anything is encoded: learning would refuse them hours later."""
    wanted = project.settings.clusters.count
    most = min(images, project.settings.training_set.max_images)
    # A store that has groups keeps growing, or shrinking, without learning.
    if isinstance(wanted, int) and wanted > most and open_store(project).current(TRAINING_SET.name) is None:
        raise InputError(
            f"clusters.count must be at most the number of images to learn from; got {wanted} and {most} images. "
            "Lower clusters.count, or add images."
        )


@stored_asset(
    group="images",
    schema=IMAGE_MANIFEST,
    settings=["images.source"],
    resolve=_list_source,
    kinds=["parquet"],
    part="growth",
    observes=IMAGE_STORE,
)
def image_manifest(inputs: Inputs, out: Output, images: Images) -> None:
    """One row per image of the source: where it is, how large it is, and when it changed; and what is no image."""
    listing = inputs.carry["listing"]
    listed, problems = listing.images, listing.problems
    out.write(listed)
    # What was passed over concerns nobody who reads images.
    out.content = inputs.values["listing"]
    out.write_other(PASSED_OVER, listing.passed_over)
    out.write_other(PROBLEMS, problems)
    if listed["size"].null_count() == 0:
        out.fact(bytes=listed["size"].sum())
    out.fact(passed_over=int(listing.passed_over["files"].sum()), problems=len(problems))
    out.markdown("first rows", previews.table(listed.head(5)))
    if len(listing.passed_over):
        rules = pl.DataFrame(list(listing.passed_over_by_rule.items()), schema=["passed over", "files"], orient="row")
        out.markdown("passed over", previews.table(rules))
    if len(problems):
        out.markdown("could not be looked at", previews.table(problems.head(20)))
    for note in listing.notes:
        inputs.log(note)
    for path, reason in problems.head(5).iter_rows():
        inputs.log(f"{path} {reason}")


def not_images(listed: Artifact) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """The tables passed_over and problems of an image_manifest; None of one that a version made that had none."""
    if "passed_over" not in listed.facts:
        return None
    return listed.frame(PASSED_OVER), listed.frame(PROBLEMS)
