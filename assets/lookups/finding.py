"""What `tac search` and `tac assign` read of a store.

Knows nothing of Dagster, and changes nothing. What must stay out: computation (tac_pipeline).
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.clustering import HEADS_NAME, cluster_heads
from assets.engine.execute import open_store
from assets.engine.seen import load_view
from assets.engine.step import Inputs
from assets.images import encoder_name, image_embeddings, image_manifest, load_encoder, text_encoder_name, training_set
from assets.lookups.reading import cluster_names, read_current, with_criterion
from assets.neighbors import INDEX_NAME, image_neighbors, load_whitening, whitening
from assets.nouns import noun_embeddings
from assets.people.corrections import corrections, head_groups
from assets.results import assignments, centers_of, clusters
from assets.text_space import noun_vocabulary
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import UNSTATED_ENCODER
from tac_pipeline.errors import EncoderError, InputError, StoreError
from tac_pipeline.settings.project import Project

if TYPE_CHECKING:
    from tac_pipeline.encoders import Encoder
    from tac_pipeline.results.new_images import NamedImage, Nearest
    from tac_pipeline.results.search import Hits
    from tac_pipeline.store.shards import EmbeddedBatch

# Images that are shown as like others, also where fewer are proposed.
LOOKED_AT = 60


def search_by_text(project: Project, text: str, *, count: int) -> "Hits":
    """The images of the whole store that are nearest to a text.

    When the store's vectors were given and have no text tower, the text's noun is looked up among the candidate nouns,
    because their vectors were given too.

    Raises
    ------
    InputError
        The text is empty, or names no noun when only nouns can be searched for.
    StoreError, EncoderError
    """
    from tac_pipeline.results.search import find_noun, require_text

    text, reader = require_text(text), "tac search"
    inputs = read_current(reader, project, image_embeddings)
    settings = project.settings.encoder
    if _has_text_tower(inputs, reader):
        encoder = load_encoder(project)
        query = encoder.encode_texts([text], batch_size=settings.batch_size)[0]
        return _hits(inputs, query, f"the text “{text}” as {encoder.fingerprint} reads it", count=count)
    nouns = read_current(reader, project, noun_embeddings)
    try:
        found = find_noun(text, nouns.table(noun_embeddings, columns=["noun"])["noun"].to_list())
    except InputError as error:
        raise InputError(
            f"{error}. The store's vectors were given and have no text tower: only nouns can be searched for."
        ) from error
    [query] = nouns.vectors_at(noun_embeddings, np.array([found.row]))
    part = "" if found.whole else " alone"
    said = f"the noun “{found.noun}”{part} (the store's vectors were given and have no text tower to read a text)"
    return _hits(inputs, query, said, count=count)


def _has_text_tower(inputs: Inputs, reader: str) -> bool:
    """Whether the encoder that the settings name reads texts into the space of the store's vectors."""
    images = inputs.fact(image_embeddings, "encoder")
    try:
        named, texts = encoder_name(inputs.project), text_encoder_name(inputs.project)
    except EncoderError:
        return False  # a store of given vectors may name an encoder that does not exist: it is not needed
    if images != UNSTATED_ENCODER:
        return bool(images == named)
    # Vectors that name no encoder are in the same space as the nouns' vectors, by assumption.
    nouns = read_current(reader, inputs.project, noun_embeddings)
    return bool(nouns.fact(noun_embeddings, "encoder") == texts)


def search_by_image(project: Project, place: str, *, count: int) -> "Hits":
    """The images of the whole store that are nearest to a picture, or to one of them by its image_id.

    Raises
    ------
    InputError
        The picture cannot be read.
    StoreError, EncoderError
    """
    from pathlib import Path

    inputs = read_current("tac search", project, image_embeddings)
    if not Path(place).exists() and len(_readable(inputs, [place])):
        return search_by_own_image(project, place, count=count)
    query = _picture_vector(inputs, place)
    return _hits(inputs, query, f"the picture {place}", count=count)


def search_by_own_image(project: Project, image_id: str, *, count: int) -> "Hits":
    """The images of the whole store that are nearest to one of them; it is itself the first.

    Raises
    ------
    InputError
        The store has no such image, or it cannot be read.
    StoreError
    """
    inputs = read_current("tac search", project, image_embeddings)
    own = _readable(inputs, [image_id])
    if own.is_empty():
        raise InputError(f"{image_id} must be an image of the store that can be read")
    [query] = _vectors_of(inputs, own)
    return _hits(inputs, query, f"the store's image {image_id}", count=count)


def search_by_picture(project: Project, name: str, data: bytes, *, count: int) -> "Hits":
    """The images of the whole store that are nearest to a picture that somebody has sent.

    Parameters
    ----------
    name : str
        What errors call it.
    data : bytes
        The file; what images.max_bytes and images.max_pixels forbid is refused.

    Raises
    ------
    InputError
        It cannot be read.
    StoreError, EncoderError
    """
    from tac_pipeline.results.new_images import given_image

    inputs = read_current("tac search", project, image_embeddings)
    query = _vector_of(inputs, given_image(name, data))
    return _hits(inputs, query, f"the picture {name}", count=count)


def nearest_nouns(project: Project, image_ids: Sequence[str], *, count: int) -> dict[str, list[str]]:
    """The nouns of the vocabulary that are nearest to images, best first; without images that cannot be read.

    Raises
    ------
    StoreError
    """
    inputs = read_current("the workbench", project, image_embeddings)
    own = _readable(inputs, image_ids)
    if own.is_empty():
        return {}
    words = read_current("the workbench", project, noun_vocabulary)
    nouns = words.table(noun_vocabulary, columns=["noun"])["noun"].to_list()
    # A noun that several centers own is in the table once for each.
    scores = _vectors_of(inputs, own) @ words.vectors(noun_vocabulary).T  # (n_images, n_nouns)
    best = np.argsort(-scores, axis=1, kind="stable")
    return {
        image_id: list(dict.fromkeys(nouns[place] for place in row))[:count]
        for image_id, row in zip(own["image_id"], best, strict=True)
    }


def _readable(inputs: Inputs, image_ids: Sequence[str]) -> pl.DataFrame:
    return inputs.table(image_embeddings).filter(pl.col("image_id").is_in(image_ids), pl.col("error").is_null())


def _vectors_of(inputs: Inputs, images: pl.DataFrame) -> FloatMatrix:
    from tac_pipeline.store.shards import gather_vectors

    shards, made_by = open_store(inputs.project).shards_folder, inputs.fact(image_embeddings, "encoder")
    return gather_vectors(images, shards, encoder=made_by)


def propose_alike(project: Project, picked: Sequence[str], *, count: int) -> pl.DataFrame:
    """Images of the whole store that are like picked ones, best first: columns image_id, score, proposed.

    They are the proposals, `count` at most, and the next best up to LOOKED_AT in all: few picked images may be of a
    kind that the cut is too strict for, and a person sees that.

    Raises
    ------
    InputError
        No picked image is in the store and readable, or there is no other one.
    StoreError
    """
    from tac_pipeline.results.alike import alike_images

    inputs = read_current("the workbench", project, image_embeddings)
    found = alike_images(
        pl.Series(picked, dtype=pl.String),
        inputs.table(image_embeddings),
        open_store(project).shards_folder,
        encoder=inputs.fact(image_embeddings, "encoder"),
        seed=project.settings.seed,
    )
    proposals = int(found["proposed"].sum())
    return found.head(min(max(proposals, LOOKED_AT), count))


def propose_splits(project: Project, images: pl.Series) -> list[list[list[str]]]:
    """Two to five parts of a group, each as its image_ids; see split_images.

    Raises
    ------
    InputError
        It has too few images.
    StoreError
    """
    from tac_pipeline.results.corrections.splitting import split_images

    inputs = read_current("the workbench", project, *with_criterion(project, image_embeddings))
    return split_images(
        images,
        inputs.table(image_embeddings),
        open_store(project).shards_folder,
        encoder=inputs.fact(image_embeddings, "encoder"),
        seed=project.settings.seed,
        seen_by=load_view(inputs),
    )


def _picture_vector(inputs: Inputs, place: str) -> FloatMatrix:
    from tac_pipeline.results.new_images import find_images

    found = find_images([place])
    if len(found) != 1:
        raise InputError(f"a search takes one picture; there are {len(found):,} in {place}")
    return _vector_of(inputs, found[0])


def _vector_of(inputs: Inputs, image: "NamedImage") -> FloatMatrix:
    [batch] = _embedded(inputs, [image], _image_tower(inputs))
    [row] = batch.rows
    if row.error is not None:
        raise InputError(
            f"{image.name} must be a picture, or an image_id of the store; as a picture it {row.error}"
            if row.error.startswith("cannot")
            else f"{image.name} must be a picture: {row.error}"
        )
    vector: FloatMatrix = batch.vectors[0]
    return vector


def _image_tower(inputs: Inputs) -> "Encoder":
    """The encoder that made the store's vectors.

    Raises
    ------
    EncoderError
        The vectors were given, or another encoder made them.
    """
    made_by = inputs.fact(image_embeddings, "encoder")
    if made_by == UNSTATED_ENCODER:
        raise EncoderError(
            "this store's vectors were given, and do not say which encoder made them: a picture cannot be compared "
            "with them. Name it in the table's metadata (tac.encoder) and in `encoder`."
        )
    named = encoder_name(inputs.project)
    if made_by != named:
        raise EncoderError(f"the store's vectors are {made_by}'s, and `encoder` names {named}: set it to the former")
    return load_encoder(inputs.project)


def _embedded(inputs: Inputs, images: "Sequence[NamedImage]", encoder: "Encoder") -> "Iterator[EmbeddedBatch]":
    from tac_pipeline.results.new_images import embed_images

    settings = inputs.project.settings
    return embed_images(
        images,
        encoder,
        batch_size=settings.encoder.batch_size,
        max_pixels=settings.images.max_pixels,
        max_bytes=settings.images.max_bytes,
    )


def _hits(inputs: Inputs, query: FloatMatrix, searched_by: str, *, count: int) -> "Hits":
    from tac_pipeline.results.search import Hits, beside_clusters, nearest_images

    project = inputs.project
    found = nearest_images(
        query,
        inputs.table(image_embeddings),
        open_store(project).shards_folder,
        encoder=inputs.fact(image_embeddings, "encoder"),
        count=count,
    )
    manifest = read_current("tac search", project, image_manifest).table(image_manifest, columns=["image_id", "uri"])
    found = found.join(manifest, on="image_id", how="left", maintain_order="left")
    try:
        result = read_current("the column of clusters", project, assignments, clusters)
    except StoreError as error:
        # Anyone who searches may not have learned anything yet; the images are found all the same.
        return Hits(beside_clusters(found), searched_by, [f"the images are shown without clusters: {error}"])
    return Hits(beside_clusters(found, result.table(assignments), cluster_names(result)), searched_by)


def assign_places(project: Project, places: Sequence[str]) -> pl.DataFrame:
    """The clusters of new images; neither the images nor the result become part of the store.

    Returns
    -------
    DataFrame with image, error, cluster_id, cluster_name, confidence, runner_up, runner_up_name, similarity, nearest
    (the image_id of the learned image that is most like it), nearest_similarity

    Raises
    ------
    StoreError, EncoderError
    """
    from tac_pipeline.method.heads.cluster_head import load_heads
    from tac_pipeline.results.description import with_cluster_names
    from tac_pipeline.results.new_images import assign_images, find_images

    steps = with_criterion(project, image_embeddings, cluster_heads, corrections, clusters)
    inputs = read_current("tac assign", project, *steps)
    head = load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head
    kept, groups = head_groups(inputs.artifact(corrections))
    batches = _embedded(inputs, find_images(places), _image_tower(inputs))
    found = assign_images(
        batches,
        head,
        kept,
        centers_of(inputs, kept),
        groups=groups,
        seen_by=load_view(inputs),
        nearest=_nearest_learned(project),
    )
    return with_cluster_names(found, cluster_names(inputs)).select(
        "image",
        "error",
        "cluster_id",
        "cluster_name",
        "confidence",
        "runner_up",
        "runner_up_name",
        "similarity",
        "nearest",
        "nearest_similarity",
    )


def _nearest_learned(project: Project) -> "Nearest | None":
    """What finds the learned image that is most like a new one, in the index of the learned images.

    None where that is not current; the images fall into clusters all the same.
    """
    from tac_pipeline.method.grouping.neighbors import nearest_rows, read_index

    try:
        inputs = read_current("tac assign", project, *with_criterion(project, training_set, whitening, image_neighbors))
    except StoreError:
        return None
    index, space = read_index(inputs.path(image_neighbors, INDEX_NAME)), load_whitening(inputs, whitening)
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]

    view = load_view(inputs)

    def nearest(vectors: FloatMatrix) -> tuple[Sequence[str], FloatMatrix]:
        seen = vectors if view is None else view.apply(vectors)
        rows = nearest_rows(index, seen if space is None else space.apply(seen))
        learned = inputs.vectors_at(training_set, rows)
        cosines: FloatMatrix = np.einsum("ij,ij->i", seen, learned if view is None else view.apply(learned))
        return ids.gather(rows).to_list(), cosines

    return nearest
