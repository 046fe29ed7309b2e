"""Group images: from the source to one vector per image, and the training set that groups are learned from."""

import hashlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import polars as pl

from assets.engine.as_it_was import training_set_as_it_was
from assets.engine.execute import open_store
from assets.engine.seen import seen_vectors
from assets.engine.step import AsItWas, Inputs, Output, Step, Values, stored_asset
from assets.ui import previews
from tac_pipeline.arrays import IntVector
from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError, SourceError, TacError, first_few
from tac_pipeline.settings.keys import EncoderSettings, Images, KnownSettings, TrainingSet
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.schemas import (
    IMAGE_EMBEDDINGS,
    IMAGE_LABELS,
    IMAGE_MANIFEST,
    KNOWN_LABELS,
    PASSED_OVER,
    PROBLEMS,
    TRAINING_SET,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tac_pipeline.embedding import KnownVectors
    from tac_pipeline.encoders import Encoder
    from tac_pipeline.method.clusters.known_classes import KnownClasses
    from tac_pipeline.sources import Listing, Source
    from tac_pipeline.store.shards import EmbeddedBatch


# An unreachable source is retried every hour, not on every look.
TRY_AGAIN_SECONDS = 3600
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


def observed_version(project: Project, *, now: float) -> str:
    """A text that changes when the store must be looked at: from the listing, and the hour if images are unreachable.

    The listing alone never shows that an image can be read again.

    Raises
    ------
    SourceError
    """
    from tac_pipeline.sources import listing_digest

    listed = listing_digest(list_source(project).images)
    current = open_store(project).current(image_embeddings.name)
    if current is not None and current.artifact.facts.get("try_again"):
        return f"{listed}-{int(now // TRY_AGAIN_SECONDS)}"
    return listed


def _list_source(inputs: Inputs, images: Images) -> Values:
    from tac_pipeline.sources import listing_digest, others_digest

    inputs.carry["listing"] = list_source(inputs.project)
    found = inputs.carry["listing"]
    _require_as_many_images(inputs.project, len(found.images))
    others = others_digest(found)
    return {"listing": listing_digest(found.images)} | ({} if others is None else {"others": others})


def _require_as_many_images(project: Project, images: int) -> None:
    """Refuse more groups than images before anything is encoded: learning would refuse them hours later."""
    wanted = project.settings.clusters.count
    most = min(images, project.settings.training_set.max_images)
    # A store that has groups keeps growing, or shrinking, without learning.
    if isinstance(wanted, int) and wanted > most and open_store(project).current(training_set.name) is None:
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


def _resolve_labels(inputs: Inputs, images: Images) -> Values:
    if images.labels == "none":
        return {"labels": "none"}
    source = open_project_source(inputs.project)
    labels = source.labels(inputs.table(image_manifest, columns=["image_id"])["image_id"].to_list(), images.labels)
    inputs.carry["labels"] = labels
    # Folder names are part of the image ids, so the manifest's content includes them; a column can change alone.
    return {"labels": images.labels, "column": _column_digest(labels) if images.labels == "column" else None}


def _column_digest(labels: pl.DataFrame) -> str:
    return digest([labels["image_id"].to_list(), labels["label"].to_list()])


@stored_asset(
    group="images",
    schema=IMAGE_LABELS,
    settings=["images.source", "images.labels"],
    deps=[image_manifest],
    resolve=_resolve_labels,
    part="growth",
)
def image_labels(inputs: Inputs, out: Output, images: Images) -> None:
    """The true label of every image that has one; only evaluation reads it, so labels never affect results."""
    if images.labels == "none":
        out.write({"image_id": [], "label": []})
        return
    labels = inputs.carry["labels"]
    out.write(labels)
    counts = labels["label"].value_counts(sort=True)
    out.fact(distinct_labels=len(counts))
    out.markdown("images per label", previews.table(counts.head(20)))


def _resolve_embeddings(inputs: Inputs, images: Images, encoder: EncoderSettings) -> Values:
    source = open_project_source(inputs.project)
    inputs.carry["source"] = source
    given = source.encoder
    if given is not None:
        return {"encoder": given}
    fingerprint = encoder_name(inputs.project)
    return {"encoder": fingerprint, "max_pixels": images.max_pixels, "max_bytes": images.max_bytes}


def _after_embeddings(store: Store) -> None:
    # A store from before the rows of training sets were kept: its training set is still there.
    _remember_training_set(store)
    _drop_unnamed_shards(store)


def _remember_training_set(store: Store) -> None:
    from tac_pipeline.store.keeping.training_sets import TrainingSets

    TrainingSets(store).keep(store.current(training_set.name))


def _drop_unnamed_shards(store: Store) -> None:
    from tac_pipeline.store.digests import beside
    from tac_pipeline.store.shards import unnamed_shards

    kept = [version for version in store.versions(image_embeddings.name) if not version.damage()]
    views = (version.frame(IMAGE_EMBEDDINGS) for version in kept)
    for path in unnamed_shards(views, store.shards_folder):
        path.unlink(missing_ok=True)
        beside(path).unlink(missing_ok=True)


@stored_asset(
    group="images",
    schema=IMAGE_EMBEDDINGS,
    settings=["images.source", "images.max_pixels", "images.max_bytes", "encoder"],
    deps=[image_manifest],
    resolve=_resolve_embeddings,
    cleanup=_after_embeddings,
    kinds=["parquet", "pytorch"],
    part="growth",
)
def image_embeddings(inputs: Inputs, out: Output, images: Images, encoder: EncoderSettings) -> None:
    """One unit vector per image, as a view over append-only shards; unreadable images are rows with an error."""
    from tac_pipeline.embedding import embed_missing
    from tac_pipeline.embedding.bounded_reads import UNREACHED
    from tac_pipeline.results.intake import compare_views
    from tac_pipeline.store.keeping.shard_digests import take_in_shards

    store = open_store(inputs.project)
    fingerprint, shards = inputs.values["encoder"], store.shards_folder
    before = store.whole_current(image_embeddings.name)
    # Without a training set, learning waits for the images that could not be reached.
    waits = store.current(training_set.name) is not None
    hashes = ["image_id", "content_hash"]
    known = None if before is None else before.artifact.frame(IMAGE_EMBEDDINGS, columns=hashes)
    view = embed_missing(
        inputs.table(image_manifest),
        lambda missing, known: _embed(missing, known, inputs, images, encoder),
        shards=shards,
        encoder=fingerprint,
        progress=inputs.progress("images"),
        try_again_after=TRY_AGAIN_SECONDS if waits else 0,
    )
    errors = view.filter(pl.col("error").is_not_null())
    out.write(view.drop("computed", "copied"))
    # Vectors differ in their last bits from batch to batch; the images and the encoder do not.
    out.content = digest([fingerprint, view["image_id"].to_list(), view["content_hash"].to_list()])
    names = view["shard"].unique().sort().to_list()
    take_in_shards(names, shards, log=inputs.log)
    out.links = {f"shards/{name}": (shards / name).stat().st_size for name in names}
    out.fact(
        encoder=fingerprint,
        computed=int(view["computed"].sum()),
        copied=int(view["copied"].sum()),
        readable=len(view) - len(errors),
        unreadable=len(errors),
        changes=asdict(compare_views(view, known)),
        try_again=bool(errors["error"].str.starts_with(UNREACHED).any()),
    )
    noted = view.filter(pl.col("error").is_null() & pl.col("note").is_not_null()).select("image_id", "note")
    if len(noted):
        out.fact(noted=len(noted))
        out.markdown("read by a choice", previews.table(noted.head(20)))
    if len(errors):
        out.markdown("unreadable images", previews.table(errors.select("image_id", "error").head(20)))


def _embed(
    missing: pl.DataFrame, known: "KnownVectors", inputs: Inputs, images: Images, encoder: EncoderSettings
) -> "Iterator[EmbeddedBatch]":
    from tac_pipeline.embedding import encoded_batches, given_batches

    source = inputs.carry["source"]
    if source.reader is None:
        return given_batches(missing, source)
    inputs.log(f"{len(missing):,} images to read and encode with {inputs.values['encoder']}")
    return encoded_batches(
        missing,
        source.reader,
        load_encoder(inputs.project),
        known=known,
        batch_size=encoder.batch_size,
        max_pixels=images.max_pixels,
        max_bytes=images.max_bytes,
        concurrent_reads=images.concurrent_reads,
        any_order=True,
    )


def encoder_name(project: Project) -> str:
    """The fingerprint of the encoder that the settings name, without loading the encoder."""
    from tac_pipeline.encoders import encoder_fingerprint

    return encoder_fingerprint(*project.encoder_files, precision=project.settings.encoder.precision)


def text_encoder_name(project: Project) -> str:
    """The fingerprint of text vectors: nouns are encoded in float, whatever the precision of the images."""
    from tac_pipeline.encoders import encoder_fingerprint

    return encoder_fingerprint(*project.encoder_files)


def load_encoder(project: Project) -> "Encoder":
    """The encoder that the settings name; nothing heavy is imported before it is first used."""
    from tac_pipeline.encoders.late import LateEncoder

    settings = project.settings.encoder
    return LateEncoder(*project.encoder_files, device=settings.device, precision=settings.precision)


KNOWN_KEYS = ("known.file", "known.folder", "known.column")


def _resolve_known(inputs: Inputs, known: KnownSettings) -> Values:
    if not known.asked:
        return {}
    from tac_pipeline.sources.tables.examples import find_examples

    view = inputs.table(image_embeddings, columns=["image_id", "error"])

    def of_column(column: str) -> pl.DataFrame:
        return open_project_source(inputs.project).labels(
            view["image_id"].to_list(), "column", column=column, key="known.column"
        )

    found = find_examples(inputs.project, view, of_column)
    inputs.carry["examples"] = found
    return {"examples": digest([found.table["image_id"].to_list(), found.table["label"].to_list()])}


def _changed_examples(inputs: Inputs, made: Artifact) -> str:
    try:
        now = _resolve_known(inputs, inputs.project.settings.known)
    except TacError as error:
        return f"cannot be read again: {error}"
    same = now == made.record["values"]
    return "" if same else "the examples have changed since; `tac run --recluster` learns from them"


def _load_known(inputs: Inputs, asset: Step) -> IntVector:
    return known_classes(inputs).classes


def known_classes(inputs: Inputs) -> "KnownClasses":
    """The known classes among the training images."""
    from tac_pipeline.method.clusters.known_classes import find_classes

    labels = dict(inputs.table(known_labels).iter_rows())
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    return find_classes([labels.get(image_id) for image_id in ids])


@stored_asset(
    group="images",
    schema=KNOWN_LABELS,
    settings=["known"],
    deps_when=dict.fromkeys(KNOWN_KEYS, (image_embeddings,)),
    resolve=_resolve_known,
    ignores_growth=True,
    lag=_changed_examples,
    load=_load_known,
)
def known_labels(inputs: Inputs, out: Output, known: KnownSettings) -> None:
    """The examples of classes that people know already, if the settings have a section known: learning keeps these.

    They have nothing to do with image_labels, which only evaluation reads.
    """
    if not known.asked:
        out.write({"image_id": [], "label": []})
        return
    examples = inputs.carry["examples"]
    out.write(examples.table)
    counts = examples.table["label"].value_counts(sort=True)
    out.fact(classes=len(counts), not_in_the_store=examples.strangers)
    out.markdown("examples of each class", previews.table(counts.head(100)))
    if examples.strangers:
        inputs.log(f"known: examples that the store has not, or cannot read, are left out: {examples.strangers:,}")


# What else a step reads where classes are known.
WITH_KNOWN = dict.fromkeys(KNOWN_KEYS, (known_labels,))


def _resolve_training_set(inputs: Inputs, training_set: TrainingSet, seed: int) -> Values:
    if inputs.fact(image_embeddings, "readable") <= training_set.max_images:
        return {"images": "all"}
    return {"images": training_set.max_images, "seed": seed}


def _lost_training_set(inputs: Inputs) -> AsItWas | None:
    return training_set_as_it_was(inputs, training_set)


@stored_asset(
    group="images",
    schema=TRAINING_SET,
    settings=["training_set", "seed"],
    deps=[image_embeddings],
    deps_when=WITH_KNOWN,
    resolve=_resolve_training_set,
    ignores_growth=True,
    as_it_was=_lost_training_set,
    cleanup=_remember_training_set,
    load=seen_vectors,
)
def training_set(inputs: Inputs, out: Output, training_set: TrainingSet, seed: int) -> None:
    """The images that groups are learned from: all readable ones, or a seeded sample up to training_set.max_images."""
    from tac_pipeline.embedding.bounded_reads import require_reached
    from tac_pipeline.store.shards import gather_vectors

    seen = inputs.table(image_embeddings)
    require_reached(seen, ", ".join(inputs.project.settings.images.places))
    view = seen.filter(pl.col("error").is_null())
    if view.is_empty():
        raise InputError(
            f"no image of {', '.join(inputs.project.settings.images.places)} can be read; "
            "the errors are in the table of image_embeddings (`tac path image_embeddings`)"
        )
    if len(view) > training_set.max_images:
        always = inputs.table(known_labels)["image_id"] if known_labels.name in inputs.artifacts else None
        view = sample_images(view, max_images=training_set.max_images, seed=seed, always=always)
    encoder = inputs.fact(image_embeddings, "encoder")
    vectors = gather_vectors(view, open_store(inputs.project).shards_folder, encoder=encoder)
    columns = view.select("image_id", "content_hash").to_dict()
    out.write({**columns, "embedding": vectors}, encoder=encoder)
    out.fact(share=len(view) / inputs.fact(image_embeddings, "readable"))


def sample_images(view: pl.DataFrame, *, max_images: int, seed: int, always: pl.Series | None = None) -> pl.DataFrame:
    """The max_images rows with the lowest seeded hash: a uniform sample that changes one by one as the store grows.

    The image_ids in `always`, of which there are at most so many, come before all others.
    """

    def priority(image_id: str) -> bytes:
        return hashlib.blake2b(image_id.encode(), key=str(seed).encode(), digest_size=16).digest()

    order = view["image_id"].map_elements(priority, return_dtype=pl.Binary)
    if always is not None:
        order = pl.select(
            pl.when(view["image_id"].is_in(always.implode())).then(pl.lit(b"")).otherwise(order)
        ).to_series()
    return (
        view.with_columns(order.alias("priority")).bottom_k(max_images, by="priority").drop("priority").sort("image_id")
    )
