"""What `tac export` reads from a store, and the places that an export must not replace."""

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs
from assets.images import image_embeddings, image_manifest, open_project_source
from assets.lookups.reading import cluster_names, read_current
from assets.map import image_map
from assets.results import assignments, clusters
from tac_pipeline.errors import ArtifactMissing
from tac_pipeline.settings.project import Project

if TYPE_CHECKING:
    from tac_pipeline.export.destination import Forbidden
    from tac_pipeline.export.result import ExportResult


def result_to_export(
    project: Project, *, current: bool, with_map: bool = False, with_vectors: bool = False
) -> "ExportResult":
    """The published or the current result, with the places of its images and, if asked, the map and vectors.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
    """
    from tac_pipeline.export.result import ExportResult, StoredVectors
    from tac_pipeline.results.description import with_cluster_names

    reader = "tac export"
    manifest = read_current(reader, project, image_manifest).table(image_manifest, columns=["image_id", "uri"])
    if current:
        result = read_current(reader, project, assignments, clusters)
        placed, names, version = result.table(assignments), cluster_names(result), None
    else:
        placed, names, version = _published(project)
    first = ["image_id", "uri", "cluster_id", "cluster_name", "confidence", "runner_up", "runner_up_name", "similarity"]
    images = (
        placed.drop("cluster_name", strict=False)
        .join(manifest, on="image_id", how="left", maintain_order="left")
        .sort("image_id")
    )
    images = with_cluster_names(images, names)
    images = images.select(*first, *(name for name in images.columns if name not in first))
    places = _map_as_it_is(project) if with_map else None
    vectors = None
    if with_vectors:
        inputs = read_current(reader, project, image_embeddings)
        shards, encoder = open_store(project).shards_folder, inputs.fact(image_embeddings, "encoder")
        vectors = StoredVectors(inputs.table(image_embeddings), shards, encoder)
    files = open_project_source(project).reader
    facts = {"store": project.settings.store, "published_version": version}
    return ExportResult(facts, images, files, places, vectors)


def _map_as_it_is(project: Project) -> pl.DataFrame:
    """The map, even for other settings or fewer images, because a published result must not wait for a run."""
    current = open_store(project).current(image_map.name)
    damage = "is not built yet" if current is None else current.artifact.damage()
    if current is None or damage:
        raise ArtifactMissing(f"tac export draws image_map, which {damage}; `tac run` builds it")
    found = Inputs(project, {image_map.name: current.artifact}).table(image_map, columns=["image_id", "x", "y"])
    return found


def _published(project: Project) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    from tac_pipeline.store.publication import Publication

    latest = Publication(open_store(project).published_folder).latest()
    if latest is None:
        raise ArtifactMissing(
            "nothing is published yet: `tac run` or `tac publish` does, or add --current for the current result"
        )
    return latest.assignments, latest.clusters.select("cluster_id", cluster_name="name"), latest.number


def places_to_spare(project: Project) -> "list[Forbidden]":
    """The places that an export must neither be in nor replace: everything that the settings name, and themselves."""
    from tac_pipeline.export.destination import Forbidden
    from tac_pipeline.sources.tables.vectors import files_of_table

    settings = project.settings
    named = [(place, "the images of the store") for place in map(project.resolve, settings.images.places)]
    named += [(str(file), meaning) for place, meaning in named if "://" not in place for file in files_of_table(place)]
    named.append((project.resolve(settings.data), "the data folder"))
    for one in project.family:
        nouns = one.settings.nouns
        named += [(one.resolve(file), "the nouns") for file in nouns.files]
        if nouns.language_data is not None:
            named.append((one.resolve(nouns.language_data), "the words of a language"))
        if one.corrections_file is not None:
            named.append((str(one.corrections_file), "the file of corrections"))
        if one.known_file is not None:
            named.append((str(one.known_file), "the examples of known classes"))
    encoder = project.encoder
    files = (encoder.model, encoder.pretrained, encoder.second.pretrained)
    named += [(file, "the encoder's files") for file in files if file is not None and Path(file).is_absolute()]
    places = [Forbidden(Path(place), meaning) for place, meaning in named if "://" not in place]
    return [*places, Forbidden(project.path, "the settings file")]
