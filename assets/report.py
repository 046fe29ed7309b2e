"""Group results: the report page."""

from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import image_embeddings, image_manifest, not_images, open_project_source
from assets.images.unchanged import first_rows
from assets.map import image_map
from assets.results import assignments, clusters
from assets.review import count_marks, review
from assets.tree import cluster_tree
from tac_pipeline.digest import digest
from tac_pipeline.figures import map_picture
from tac_pipeline.settings.keys import Images, Report
from tac_pipeline.store.schemas import CLUSTER_NOUNS, DUPLICATES, MAP_SAMPLE, PAGE_ROWS, REPORT_PICTURES, REVIEW
from tac_pipeline.store.segments.reading import Rows, Segment, rows_between
from tac_pipeline.store.segments.sums import group_sums, view_sums

if TYPE_CHECKING:
    from tac_pipeline.report import Changes, ReportTables
    from tac_pipeline.report.contents import Counts
    from tac_pipeline.sources import ByteReader
    from tac_pipeline.store.publication import Version

PAGE_NAME = "report.html"
# Dots on the small map that the UI shows.
MAP_DOTS = 20_000
# So many times the images of the map are drawn, because the segments have unequal shares of them.
SPARE = 2
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
    from tac_pipeline.report import choose_images, describe, write_page
    from tac_pipeline.report.contents import choose_duplicates

    reader = open_project_source(inputs.project).reader
    tables, places = _tables(inputs, report)
    chosen = choose_images(tables.review, images_per_cluster=report.images_per_cluster)
    twins = choose_duplicates(tables.review, tables.counted.duplicates)
    wanted = pl.concat([chosen.select("image_id"), twins.select("image_id")]).unique()
    pictures = {} if reader is None else _pictures(inputs, reader, wanted.join(places, on="image_id"), images)
    page = out.path(PAGE_NAME)
    contents = describe(tables, chosen, pictures, map_images=report.map_images, seed=seed)
    write_page(page, contents)
    out.write({"content_hash": list(pictures), "picture": list(pictures.values())})
    # The page says when its result was made; everything else on it depends on these.
    read = {dep.name: inputs.artifact(dep).content for dep in _READS}
    out.content = digest([inputs.values, read, sorted(pictures)])
    out.fact(bytes=page.stat().st_size, pictures=len(pictures), images_shown=len(chosen))
    dots = tables.image_map.sample(min(len(tables.image_map), MAP_DOTS), seed=seed)
    placed = dots.join(tables.assignments.select("image_id", "cluster_id"), on="image_id")
    out.picture("map", map_picture(placed, contents.summary["clusters"]))
    out.markdown(
        "how to open it",
        "`tac report` opens it, and `tac ui` serves it: the link `page` of this asset. It is the file "
        f"`{PAGE_NAME}` in the folder below.",
    )


def _tables(inputs: Inputs, report: Report) -> "tuple[ReportTables, pl.DataFrame]":
    """What the page is made of; and columns image_id, uri, content_hash, width, height of images that it may show."""
    from tac_pipeline.report import ReportTables

    passed_over, problems = _not_read(inputs)
    facts: dict[str, Any] = {
        "store": inputs.project.settings.store,
        "made_at": inputs.artifact(assignments).record["made_at"],
        "clusters": inputs.table(clusters),
        "nouns": inputs.artifact(review).frame(CLUSTER_NOUNS),
        "passed_over": passed_over,
        "problems": problems,
        "pictures": open_project_source(inputs.project).reader is not None,
        "changes": _changes(inputs),
        "tree": inputs.table(cluster_tree).to_dicts(),
    }
    columns = ["image_id", "content_hash", "width", "height", "error"]
    if len(inputs.segments(review)) == 1:
        view = inputs.table(image_embeddings, columns=columns)
        places = inputs.table(image_manifest, columns=["image_id", "uri"]).join(view, on="image_id")
        tables = ReportTables(
            assignments=inputs.table(assignments),
            review=inputs.table(review),
            image_map=inputs.table(image_map, columns=["image_id", "x", "y"]),
            images=view,
            **facts,
        )
        return tables, places
    rows = _rows_of_page(inputs, images_per_cluster=report.images_per_cluster)
    sample = _map_sample(inputs, images=report.map_images).join(rows, on="image_id", how="anti")
    nothing = {"confidence": pl.lit(None, pl.Float32), "runner_up": pl.lit(None, pl.Int32)}
    assigned = [rows.select("image_id", "cluster_id", *nothing), sample.select("image_id", "cluster_id", **nothing)]
    readable = rows.select(*columns[:-1], error=pl.lit(None, pl.String))
    tables = ReportTables(
        assignments=pl.concat(assigned),
        review=rows.select(column.name for column in REVIEW.columns),
        image_map=pl.concat(part.select("image_id", "x", "y") for part in (rows, sample)),
        images=pl.concat([readable, _listed_errors(inputs).select(columns)]),
        counts=_count_all(inputs),
        **facts,
    )
    return tables, rows.select("image_id", "uri", *columns[1:-1])


def _count_all(inputs: Inputs) -> "Counts":
    """What the page counts over all images, from the sums of segments."""
    from tac_pipeline.embedding.bounded_reads import UNREACHED
    from tac_pipeline.report.contents import Counts

    derived = open_store(inputs.project).derived
    view = view_sums(inputs.segments(image_embeddings), derived, unreached=UNREACHED)
    marks = count_marks(inputs.segments(review), derived)
    twins = _twins(inputs).group_by("duplicate_group").agg(images=pl.len())
    return Counts(int(view["images"].sum()), int(view["unreadable"].sum()), marks, twins)


def _twins(inputs: Inputs) -> pl.DataFrame:
    made = inputs.artifact(review)
    if f"{DUPLICATES.name}.parquet" in made.record["files"]:
        return made.frame(DUPLICATES)
    # Of a version that kept them in the large table alone.
    columns = ["image_id", "duplicate_group", "duplicate_of"]
    return inputs.table(review, columns=columns).drop_nulls("duplicate_group")


def _rows_of_page(inputs: Inputs, *, images_per_cluster: int) -> pl.DataFrame:
    """The columns of PAGE_ROWS: images that clusters may show, and members of the largest groups of duplicates."""
    from tac_pipeline.report.contents import choose_duplicates, most_per_cluster

    derived = open_store(inputs.project).derived
    n_clusters = len(group_sums(inputs.segments(assignments), derived).drop_nulls("cluster_id"))
    most = most_per_cluster(n_clusters, images_per_cluster=images_per_cluster)
    twins = choose_duplicates(_twins(inputs)).sort("image_id")
    found = []
    # Each of these tables was written segment by segment from the one before.
    others = (inputs.segments(step) for step in (assignments, image_embeddings, image_manifest, image_map))
    for marked, *beside in zip(inputs.segments(review), *others, strict=True):
        mine = rows_between(twins, marked)["image_id"]
        also = [most, mine.to_list(), *(part.digest for part in beside)]
        pick = partial(_pick_rows, beside=beside, most=most, twins=mine)
        found.append(derived.of(marked, PAGE_ROWS, pick, also=also))
    return pl.concat(found)


def _pick_rows(marked: Rows, *, beside: list[Segment], most: int, twins: pl.Series) -> pl.DataFrame:
    from tac_pipeline.report.contents import narrow_review

    table = marked.frame()
    chosen = pl.concat([narrow_review(table, images_per_cluster=most)["image_id"], twins]).unique()
    rows = table.filter(pl.col("image_id").is_in(chosen.implode()))
    wanted = (["confidence", "runner_up"], ["content_hash", "width", "height"], ["uri"], ["x", "y"])
    for part, columns in zip(beside, wanted, strict=True):
        rows = rows.join(part.frame(["image_id", *columns]), on="image_id", how="inner", maintain_order="left")
    return rows.select(column.name for column in PAGE_ROWS.columns)


def _listed_errors(inputs: Inputs) -> pl.DataFrame:
    """The first images of the store that cannot be read: rows of image_embeddings."""
    from tac_pipeline.embedding.bounded_reads import UNREACHED
    from tac_pipeline.report.contents import LISTED_ERRORS

    parts = inputs.segments(image_embeddings)
    counts = view_sums(parts, open_store(inputs.project).derived, unreached=UNREACHED)["unreadable"]
    return first_rows(parts, counts, pl.col("error").is_not_null(), most=LISTED_ERRORS)


def _map_sample(inputs: Inputs, *, images: int) -> pl.DataFrame:
    """The columns of MAP_SAMPLE: about twice as many images as are asked for, or all."""
    derived, parts = open_store(inputs.project).derived, inputs.segments(image_map)
    share = SPARE * images / max(inputs.rows(image_map), 1)
    found = []
    for placed, assigned in zip(parts, inputs.segments(assignments), strict=True):
        # In powers of two, so that a store that grows by one image asks for as many of each segment as before.
        count = 1 << max(int(share * placed.rows), 1).bit_length()
        pick = partial(_sample, assigned=assigned, count=count)
        found.append(derived.of(placed, MAP_SAMPLE, pick, also=[count, assigned.digest]))
    return pl.concat(found)


def _sample(placed: Rows, *, assigned: Segment, count: int) -> pl.DataFrame:
    rows = placed.frame(["image_id", "x", "y"])
    rows = rows.with_columns(order=pl.col("image_id").hash(0)).bottom_k(count, by="order").drop("order")
    groups = assigned.frame(["image_id", "cluster_id"])
    return rows.join(groups, on="image_id", how="inner").sort("image_id")


def _pictures(inputs: Inputs, reader: "ByteReader", wanted: pl.DataFrame, images: Images) -> dict[str, bytes]:
    """The small pictures of the images on the page; those of the previous page are used again."""
    from tac_pipeline.report import draw_pictures
    from tac_pipeline.report.pictures import Wanted

    rows = wanted.sort("image_id")
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
    from tac_pipeline.store.comparison import compare_parts
    from tac_pipeline.store.segments.sums import AssignedSegment

    before = earlier_version(inputs)
    if before is None:
        return None
    derived = open_store(inputs.project).derived
    now = [AssignedSegment(part, derived) for part in inputs.segments(assignments)]
    comparison = compare_parts(before.assigned, now)
    names = dict(before.clusters.select("cluster_id", "name").iter_rows())
    return Changes(before.number, before.made_at, comparison, names)
