"""Group results: the report page."""

from typing import TYPE_CHECKING

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import image_embeddings, image_manifest, not_images, open_project_source
from assets.map import image_map
from assets.results import assignments, clusters
from assets.review import review
from assets.tree import cluster_tree
from tac_pipeline.digest import digest
from tac_pipeline.figures import map_picture
from tac_pipeline.settings.keys import Images, Report
from tac_pipeline.store.schemas import CLUSTER_NOUNS, REPORT_PICTURES

if TYPE_CHECKING:
    from tac_pipeline.report import Changes
    from tac_pipeline.sources import ByteReader
    from tac_pipeline.store.publication import Version

PAGE_NAME = "report.html"
# Dots on the small map that the UI shows.
MAP_DOTS = 20_000
_READS = (clusters, cluster_tree, assignments, review, image_map, image_embeddings)


def _resolve_report(inputs: Inputs, report: Report, images: Images, seed: int) -> Values:
    from tac_pipeline.report import page_digest

    before = earlier_version(inputs)
    # The places of the images are already part of the inputs; their hashes identify their bytes.
    return {
        "images_per_cluster": report.images_per_cluster,
        "map_images": report.map_images,
        "seed": seed,
        "page": page_digest(),
        "since": None if before is None else before.number,
        "not_read": digest([*_not_read(inputs)]),
    }


def _not_read(inputs: Inputs) -> tuple[list[tuple[str, int]], list[tuple[str, str]]]:
    """Rules with the files that they passed over, the most first; paths that could not be looked at, and why."""
    from tac_pipeline.sources.listing import files_by_rule

    found = not_images(inputs.artifact(image_manifest))
    return ([], []) if found is None else (list(files_by_rule(found[0]).items()), list(found[1].iter_rows()))


def earlier_version(inputs: Inputs) -> "Version | None":
    """The last published version with another result than this one; None when there is none, or its tables are gone.

    Names are part of a result: a version that changed only them is what readers had before. Publishing this result
    does not change that, so the page that was made before is still right.
    """
    from tac_pipeline.store.publication import Publication

    own = {step.name: inputs.artifact(step).content for step in (assignments, clusters)}
    versions = Publication(open_store(inputs.project).published_folder).versions()
    other = [version for version in versions if own != {name: version.source.get(name) for name in own}]
    return other[-1] if other and other[-1].whole else None


@stored_asset(
    group="results",
    schema=REPORT_PICTURES,
    settings=["report", "images.max_pixels", "images.max_bytes", "seed"],
    deps=_READS,
    # It says where images are read, not what they show: a file with only a new time does not change the page.
    value_deps=[image_manifest],
    resolve=_resolve_report,
    kinds=["html", "parquet"],
    part="growth",
)
def report(inputs: Inputs, out: Output, report: Report, images: Images, seed: int) -> None:
    """The report page: one HTML file with clusters, map and images to review; it needs no network."""
    from tac_pipeline.report import ReportTables, choose_images, describe, write_page
    from tac_pipeline.report.contents import choose_duplicates

    reader = open_project_source(inputs.project).reader
    found = inputs.table(review)
    view = inputs.table(image_embeddings, columns=["image_id", "content_hash", "width", "height", "error"])
    passed_over, problems = _not_read(inputs)
    tables = ReportTables(
        store=inputs.project.settings.store,
        made_at=inputs.artifact(assignments).record["made_at"],
        clusters=inputs.table(clusters),
        assignments=inputs.table(assignments),
        review=found,
        nouns=inputs.artifact(review).frame(CLUSTER_NOUNS),
        image_map=inputs.table(image_map, columns=["image_id", "x", "y"]),
        images=view,
        passed_over=passed_over,
        problems=problems,
        pictures=reader is not None,
        changes=_changes(inputs),
        tree=inputs.table(cluster_tree).to_dicts(),
    )
    chosen = choose_images(found, images_per_cluster=report.images_per_cluster)
    wanted = pl.concat([chosen.select("image_id"), choose_duplicates(found).select("image_id")]).unique()
    pictures = {} if reader is None else _pictures(inputs, reader, view, wanted, images)
    page = out.path(PAGE_NAME)
    contents = describe(tables, chosen, pictures, map_images=report.map_images, seed=seed)
    write_page(page, contents)
    out.write({"content_hash": list(pictures), "picture": list(pictures.values())})
    # The page says when its result was made; everything else on it depends on these.
    read = {dep.name: inputs.artifact(dep).content for dep in _READS}
    out.content = digest([inputs.values, read, sorted(pictures)])
    out.fact(bytes=page.stat().st_size, pictures=len(pictures), images_shown=len(chosen))
    places = tables.image_map.sample(min(len(tables.image_map), MAP_DOTS), seed=seed)
    placed = places.join(tables.assignments.select("image_id", "cluster_id"), on="image_id")
    out.picture("map", map_picture(placed, contents.summary["clusters"]))
    out.markdown(
        "how to open it",
        "`tac report` opens it, and `tac ui` serves it: the link `page` of this asset. It is the file "
        f"`{PAGE_NAME}` in the folder below.",
    )


def _pictures(
    inputs: Inputs, reader: "ByteReader", view: pl.DataFrame, wanted: pl.DataFrame, images: Images
) -> dict[str, bytes]:
    """The small pictures of the images on the page; those of the previous page are used again."""
    from tac_pipeline.report import draw_pictures
    from tac_pipeline.report.pictures import Wanted

    places = inputs.table(image_manifest, columns=["image_id", "uri"])
    rows = wanted.join(view, on="image_id").join(places, on="image_id").sort("image_id")
    return draw_pictures(
        [Wanted(*row) for row in rows.select("uri", "content_hash", "width", "height").iter_rows()],
        reader,
        known=_pictures_before(inputs),
        max_pixels=images.max_pixels,
        max_bytes=images.max_bytes,
        progress=inputs.progress("pictures"),
    )


def _pictures_before(inputs: Inputs) -> dict[str, bytes]:
    current = open_store(inputs.project).whole_current(report.name)
    if current is None:
        return {}
    return dict(current.artifact.frame(REPORT_PICTURES).select("content_hash", "picture").iter_rows())


def _changes(inputs: Inputs) -> "Changes | None":
    from tac_pipeline.report import Changes
    from tac_pipeline.store.comparison import compare_assignments

    before = earlier_version(inputs)
    if before is None:
        return None
    comparison = compare_assignments(before.assignments, inputs.table(assignments))
    names = dict(before.clusters.select("cluster_id", "name").iter_rows())
    return Changes(before.number, before.made_at, comparison, names)
