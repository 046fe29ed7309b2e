"""One vector for each image, and the encoder that makes it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Log, Output, Values, stored_asset
from assets.images.listed import grown_list, image_manifest, list_source, listed_version, open_project_source
from assets.images.unchanged import find_changed, first_rows
from assets.ui import previews
from tac_pipeline.digest import digest, digest_of_columns
from tac_pipeline.errors import ComputeError
from tac_pipeline.settings.keys import EncoderSettings, Images
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import SHARDS_NAME, Store
from tac_pipeline.store.schemas import (
    IMAGE_EMBEDDINGS,
    TRAINING_SET,
)
from tac_pipeline.store.segments.reading import rows_between

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tac_pipeline.compute.work import ImageWork
    from tac_pipeline.embedding import KnownVectors
    from tac_pipeline.encoders import Encoder
    from tac_pipeline.store.shards import EmbeddedBatch


# An unreachable source is retried every hour, not on every look.
TRY_AGAIN_SECONDS = 3600


def observed_version(project: Project, *, now: float) -> str:
    """A text that changes when the store must be looked at: from the listing, and the hour if images are unreachable.

    The listing alone never shows that an image can be read again.

    Raises
    ------
    SourceError
    """
    grown = grown_list(project)
    listed = listed_version(list_source(project).images) if grown is None else grown.version
    current = open_store(project).current(image_embeddings.name)
    if current is not None and current.artifact.facts.get("try_again"):
        return f"{listed}-{int(now // TRY_AGAIN_SECONDS)}"
    return listed


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
    remember_training_set(store)
    _drop_unnamed_shards(store)


def remember_training_set(store: Store) -> None:
    """Keep which images the training set in force has, so that it can be made again as it was."""
    from tac_pipeline.store.keeping.training_sets import TrainingSets

    TrainingSets(store).keep(store.current(TRAINING_SET.name))


def _drop_unnamed_shards(store: Store) -> None:
    from tac_pipeline.store.digests import beside
    from tac_pipeline.store.shards import unnamed_shards

    kept = [version for version in store.versions(image_embeddings.name) if not version.damage()]
    links = (Path(link) for version in kept for link in version.record["links"])
    named = {link.relative_to(SHARDS_NAME).as_posix() for link in links}
    for path in unnamed_shards(named, store.shards_folder):
        path.unlink(missing_ok=True)
        beside(path).unlink(missing_ok=True)


@stored_asset(
    group="images",
    schema=IMAGE_EMBEDDINGS,
    settings=["images.source", "images.max_pixels", "images.max_bytes", "encoder"],
    deps=[image_manifest],
    columns_from={name: [(image_manifest, "uri")] for name in ("content_hash", "width", "height", "error")},
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
    from tac_pipeline.store.segments.sums import shard_counts, view_sums

    store = open_store(inputs.project)
    fingerprint, shards = inputs.values["encoder"], store.shards_folder
    # Without a training set, learning waits for the images that could not be reached.
    waits = store.current(TRAINING_SET.name) is not None
    changed = find_changed(inputs.segments(image_manifest), out, store, image_embeddings.name, encoder=fingerprint)
    view = embed_missing(
        changed.manifest(),
        lambda missing, known: _embed(missing, known, inputs, images, encoder),
        shards=shards,
        encoder=fingerprint,
        progress=inputs.progress("images"),
        try_again_after=TRY_AGAIN_SECONDS if waits else 0,
        among=changed.shards,
        small=changed.small,
        known_bytes=changed.known_bytes(store.derived),
    )
    rows = view.drop("computed", "copied")
    written = out.write_each(
        changed.every,
        lambda part: rows_between(rows, part),
        key=lambda _: fingerprint,
        anew={part.digest for part in changed.parts},
        # Images that could not be reached are tried again, also where nothing else changes.
        lasts=lambda made: not made["error"].str.starts_with(UNREACHED).any(),
    )
    sums = view_sums(written, store.derived, unreached=UNREACHED)
    # Vectors differ in their last bits from batch to batch; the images and the encoder do not.
    one_file = digest_of_columns([fingerprint, view["image_id"], view["content_hash"]]) if len(written) == 1 else None
    out.content = one_file or digest([fingerprint, sums["content"].to_list()])
    named = pl.concat(shard_counts(written, store.derived))
    names = named["shard"].unique().sort().to_list()
    take_in_shards(names, shards, log=inputs.log)
    out.links = {f"{SHARDS_NAME}/{name}": (shards / name).stat().st_size for name in names}
    changes = asdict(compare_views(view, changed.before()))
    stayed = int(sums["images"].sum()) - len(view)
    unreadable, noted = int(sums["unreadable"].sum()), int(sums["noted"].sum())
    out.fact(
        encoder=fingerprint,
        computed=int(view["computed"].sum()),
        copied=int(view["copied"].sum()),
        readable=int(sums["images"].sum()) - unreadable,
        unreadable=unreadable,
        changes={**changes, "unchanged": changes["unchanged"] + stayed},
        try_again=bool(sums["unreached"].sum()),
    )
    if noted:
        out.fact(noted=noted)
        chosen = first_rows(written, sums["noted"], pl.col("error").is_null() & pl.col("note").is_not_null())
        out.markdown("read by a choice", previews.table(chosen.select("image_id", "note")))
    if unreadable:
        errors = first_rows(written, sums["unreadable"], pl.col("error").is_not_null())
        out.markdown("unreadable images", previews.table(errors.select("image_id", "error")))


def _embed(
    missing: pl.DataFrame, known: "KnownVectors", inputs: Inputs, images: Images, encoder: EncoderSettings
) -> "Iterator[EmbeddedBatch]":
    from tac_pipeline.embedding import encoded_batches, given_batches

    project, source = inputs.project, inputs.carry["source"]
    if source.reader is None:
        return given_batches(missing, source)
    inputs.log(f"{len(missing):,} images to read and encode with {inputs.values['encoder']}")
    if _asks_a_cluster(project, inputs.log):
        from tac_pipeline.compute.cluster import cluster_batches

        work, compute = _image_work(project), project.settings.compute
        return cluster_batches(missing, work, compute, known=known, encoder=inputs.values["encoder"], log=inputs.log)
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


def _asks_a_cluster(project: Project, log: Log) -> bool:
    """Whether the settings name a cluster; with `auto`, whether it answers."""
    compute = project.settings.compute
    if compute.engine != "auto":
        return compute.engine == "ray"
    from tac_pipeline.compute.cluster import require_answer

    try:
        require_answer(str(compute.address))
    except ComputeError as error:
        log(f"encoding on this machine: {error}")
        return False
    return True


def _image_work(project: Project) -> "ImageWork":
    """What a worker must know; its paths are absolute."""
    from tac_pipeline.compute.work import ImageWork

    images = project.settings.images
    places = [project.resolve(place) for place in images.places]
    return ImageWork(places, not isinstance(images.source, str), images, project.encoder)


def encoder_name(project: Project) -> str:
    """The fingerprint of the encoder that the settings name, without loading the encoder."""
    return load_encoder(project).fingerprint


def text_encoder_name(project: Project) -> str:
    """The fingerprint of text vectors: nouns are encoded in float, whatever the precision of the images."""
    return load_encoder(project).text_fingerprint


def load_encoder(project: Project) -> "Encoder":
    """The encoder that the settings name; nothing heavy is imported before it is first used."""
    from tac_pipeline.encoders import encoder_of_settings

    return encoder_of_settings(project.encoder)
