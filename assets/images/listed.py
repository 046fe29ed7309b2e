"""From the source to the list of its images: the first step, and what it refuses."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.ui import previews
from tac_pipeline.digest import digest
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
    from tac_pipeline.sources import Listing, Source, VectorSource
    from tac_pipeline.store.segments.reading import Segment


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
        try:
            _refuse_sudden_loss(project, lost.join(kept, on="image_id", how="anti"), len(known))
        except SourceError:
            # Else a disk that showed half of its files for a moment would be refused until its folders change.
            forget_folders(project)
            raise
        images = pl.concat([images, kept.select(images.columns)]).sort("image_id")
    return replace(listing, images=images)


@dataclass(frozen=True)
class Grown:
    """The images of a source of which only some files changed, as segments of the list before.

    Attributes
    ----------
    parts : list of Segment or DataFrame
        A segment that stays, or rows of IMAGE_MANIFEST.
    version : str
        A digest of the images.
    files : dict
        What tells the next run which files changed; see _files_of.
    """

    source: "VectorSource"
    parts: "list[Segment | pl.DataFrame]"
    version: str
    files: dict[str, list[str]]


def listed_version(images: pl.DataFrame) -> str:
    """A digest of a list of images; of a large one, of its segments, so that it follows from those that changed."""
    from tac_pipeline.sources import listing_digest
    from tac_pipeline.store.segments.cutting import cut_digests

    digests = cut_digests(IMAGE_MANIFEST, images)
    return listing_digest(images) if digests is None else digest(digests)


def grown_list(project: Project) -> Grown | None:
    """What is in the source now, from the files that changed alone; None where all of it must be listed.

    That is so for small stores, for sources that do not keep the rows of their files, and where anything is not as
    expected: the whole listing then says what.
    """
    from tac_pipeline.sources import VectorSource
    from tac_pipeline.store.segments.cutting import frame_digest
    from tac_pipeline.store.segments.growing import grow
    from tac_pipeline.store.segments.reading import Segment, segments

    current = open_store(project).whole_current(image_manifest.name)
    before = None if current is None else current.artifact.facts.get("files")
    if current is None or before is None or current.written.get("images.source") != project.settings.images.source:
        return None
    source = open_project_source(project)
    no_uris = pl.Series("uri", [], dtype=pl.String)
    if not isinstance(source, VectorSource) or source.absent_folders(no_uris, before["folders"]) is None:
        return None
    names, listed = source.kept_parts(), str(current.artifact.record["values"]["listing"])
    known = segments(current.artifact, IMAGE_MANIFEST)
    if names == before["names"]:
        return Grown(source, [*known], listed, before)
    come = source.images_of([name for name in names if name not in before["names"]])
    gone = source.images_of([name for name in before["names"] if name not in names])
    if come is None or gone is None:
        return None
    lost = gone.images.join(come.images, on="image_id", how="anti")
    _refuse_sudden_loss(project, lost, current.artifact.rows or 0)
    new = come.images.join(gone.images, on=come.images.columns, how="anti", nulls_equal=True)
    old = gone.images.join(come.images, on=come.images.columns, how="anti", nulls_equal=True)
    folders = source.absent_folders(new["uri"], before["folders"])
    if folders is None:
        return None
    parts = grow(known, gone=old["image_id"], come=new)
    if parts is None:
        return None
    digests = [part.digest if isinstance(part, Segment) else frame_digest(IMAGE_MANIFEST, part) for part in parts]
    return Grown(source, parts, digest(digests), {"names": names, "folders": folders}) if len(parts) > 1 else None


def open_project_source(project: Project) -> "Source":
    """The source that the settings name."""
    from tac_pipeline.sources import Rules, open_source, open_sources
    from tac_pipeline.store.listings import KeptListings

    images = project.settings.images
    rules = Rules(images.exclude, own=[str(project.data_folder)], follow_links=images.follow_links)
    kept, by_folder = KeptListings(open_store(project).listings_folder), images.compare == "folders"
    if isinstance(images.source, str):
        place = project.resolve(images.source)
        return open_source(place, listings=kept, rules=rules, timeout=images.timeout, by_folder=by_folder)
    places = [project.resolve(place) for place in images.source]
    return open_sources(places, listings=kept, rules=rules, timeout=images.timeout, by_folder=by_folder)


def forget_folders(project: Project) -> None:
    """Have the next look list every file, also in folders that have not changed (images.compare: folders)."""
    from tac_pipeline.store.listings import KeptListings

    KeptListings(open_store(project).listings_folder).forget_folders()


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
    from tac_pipeline.sources import others_digest

    if inputs.anew:
        forget_folders(inputs.project)
    grown = grown_list(inputs.project)
    if grown is not None:
        inputs.carry["grown"] = grown
        return {"listing": grown.version}
    inputs.carry["listing"] = list_source(inputs.project)
    found = inputs.carry["listing"]
    require_as_many_images(inputs.project, len(found.images))
    others = others_digest(found)
    return {"listing": listed_version(found.images)} | ({} if others is None else {"others": others})


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
    # What was passed over concerns nobody who reads images.
    out.content = inputs.values["listing"]
    if "grown" in inputs.carry:
        _write_grown(inputs.carry["grown"], out)
        return
    listing = inputs.carry["listing"]
    listed, problems = listing.images, listing.problems
    out.write(listed)
    files = _files_of(open_project_source(inputs.project), listing)
    if files is not None:
        out.fact(files=files)
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


def _write_grown(grown: Grown, out: Output) -> None:
    """The manifest of a source of which only some files changed."""
    from tac_pipeline.store.segments.reading import Segment

    out.write_parts(grown.parts)
    out.write_other(PASSED_OVER, pl.DataFrame(schema={"path": pl.String, "rule": pl.String, "files": pl.Int64}))
    out.write_other(PROBLEMS, pl.DataFrame(schema={"path": pl.String, "reason": pl.String}))
    out.fact(files=grown.files, passed_over=0, problems=0)
    first = grown.parts[0]
    out.markdown("first rows", previews.table((first.frame() if isinstance(first, Segment) else first).head(5)))
    grown.source.forget_other_parts()


def _files_of(source: "Source", listing: "Listing") -> dict[str, list[str]] | None:
    """What tells the next run which files changed; None of a small store, and where files cannot be told apart."""
    from tac_pipeline.sources import VectorSource
    from tac_pipeline.store.segments import cutting

    if not isinstance(source, VectorSource):
        return None
    names = source.kept_parts()
    source.forget_other_parts()
    if len(listing.images) <= cutting.SEGMENT_ROWS or len(listing.problems) or len(listing.passed_over):
        return None
    folders = source.absent_folders(listing.images["uri"])
    return None if folders is None else {"names": names, "folders": folders}


def not_images(listed: Artifact) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """The tables passed_over and problems of an image_manifest; None of one that a version made that had none."""
    if "passed_over" not in listed.facts:
        return None
    return listed.frame(PASSED_OVER), listed.frame(PROBLEMS)
