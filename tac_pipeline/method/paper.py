"""The method as published: `method: published` in the settings file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector
from tac_pipeline.method.grouping.lloyd.two_levels import count_levels
from tac_pipeline.method.grouping.neighbors import Neighbors, find_neighbors
from tac_pipeline.method.grouping.semantic_centers import count_semantic_centers, find_semantic_centers
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult
from tac_pipeline.method.grouping.training_free import image_kmeans, training_free_clusters
from tac_pipeline.method.recipe import Known, Method, Piece, Values
from tac_pipeline.method.values.published import (
    CENTER_RESTARTS,
    KMEANS_ITERATIONS,
    NEIGHBORS,
    TAU,
    TRAINING_FREE_RESTARTS,
    TrainingSchedule,
    training_schedule,
)
from tac_pipeline.method.words.noun_vocabulary import NounVocabulary, choose_noun_vocabulary
from tac_pipeline.method.words.text_counterparts import Counterparts, retrieve_text_counterparts
from tac_pipeline.method.words.text_weight import TextWeight, published_text_weight

if TYPE_CHECKING:
    from tac_pipeline.method.heads.training import TrainedHeads


def asked_device(known: Known) -> str:
    """Where torch computes; the CPU where nobody says."""
    return known.choices["device"] or "cpu"


def level_values(known: Known, n_clusters: int) -> Values:
    """The levels on which k-means finds its clusters, in a store of many; else nothing, as ever."""
    # The store's K decides, so that finer centers in a store of fewer clusters stay as they were.
    levels = count_levels(min(n_clusters, known.result("cluster_count")))
    return {} if levels == 1 else {"levels": levels}


def _center_values(known: Known) -> Values:
    n_centers = count_semantic_centers(
        known.rows("training_set"),
        known.result("cluster_count"),
        images_per_center=known.choices["images_per_center"],
        count=known.choices["n_centers"],
    )
    return {
        "n_centers": n_centers,
        "seed": known.choices["seed"],
        "restarts": CENTER_RESTARTS,
        "iterations": KMEANS_ITERATIONS,
        **level_values(known, n_centers),
    }


def _find_centers(known: Known, values: Values) -> KMeansResult:
    return find_semantic_centers(
        known.result("training_set"),
        n_centers=values["n_centers"],
        seed=values["seed"],
        levels=values.get("levels", 1),
        device=asked_device(known),
        progress=known.progress("restarts"),
    )


def _choose_vocabulary(known: Known, _: Values) -> NounVocabulary:
    return choose_noun_vocabulary(
        known.result("noun_shortlist").vectors,
        known.result("semantic_centers"),
        nouns_per_center=known.choices["nouns_per_center"],
    )


def _chosen_vectors(known: Known, chosen: NounVocabulary) -> FloatMatrix:
    vectors: FloatMatrix = known.result("noun_shortlist").vectors[chosen.rows]
    return vectors


def _no_whitening(_: Known, __: Values) -> None:
    return None


def _tau_values(known: Known) -> Values:
    given = known.choices["tau"]
    # The key of the settings, so that what was made before the default had a name is found again.
    return {"retrieval.tau": TAU if given is None else given}


def _retrieve(known: Known, values: Values) -> Counterparts:
    tau = values["retrieval.tau"]
    images, nouns = known.result("training_set"), known.result("noun_vocabulary")
    return Counterparts(retrieve_text_counterparts(images, nouns, tau=tau, progress=known.progress("images")), tau)


def _neighbor_values(known: Known) -> Values:
    wanted = known.choices["neighbors"]
    return {"count": min(NEIGHBORS if wanted is None else wanted, known.rows("training_set") - 1)}


def _image_neighbors(known: Known, values: Values) -> Neighbors:
    return find_neighbors(
        known.result("training_set"), count=values["count"], exact=True, progress=known.progress("images")
    )


def _weight_values(_: Known) -> Values:
    return {"weight": "published"}


def _published_weight(_: Known, values: Values) -> TextWeight:
    return published_text_weight()


def _text_alone(known: Known, _: Values) -> FloatMatrix:
    rows: FloatMatrix = known.result("text_counterparts").rows
    return rows


def _text_neighbor_values(known: Known) -> Values:
    return {**_neighbor_values(known), "text_weight": "text alone"}


def _text_neighbors(known: Known, values: Values) -> Neighbors:
    return find_neighbors(
        known.result("text_rows"), count=values["count"], exact=True, progress=known.progress("images")
    )


def _kmeans_values(known: Known) -> Values:
    count = known.result("cluster_count")
    return {
        "count": count,
        "seed": known.choices["seed"],
        "restarts": TRAINING_FREE_RESTARTS,
        "iterations": KMEANS_ITERATIONS,
        **level_values(known, count),
    }


def _image_kmeans(known: Known, values: Values) -> KMeansResult:
    return image_kmeans(
        known.result("training_set"),
        n_clusters=values["count"],
        restarts=values["restarts"],
        seed=values["seed"],
        levels=values.get("levels", 1),
        device=asked_device(known),
        progress=known.progress("restarts"),
    )


def _training_free_values(known: Known) -> Values:
    return {**_kmeans_values(known), "text_weight": known.result("text_weight").training_free}


def _training_free(known: Known, values: Values) -> KMeansResult:
    return training_free_clusters(
        known.result("training_set"),
        known.result("text_counterparts").rows,
        text_weight=values["text_weight"],
        n_clusters=values["count"],
        restarts=values["restarts"],
        seed=values["seed"],
        levels=values.get("levels", 1),
        device=asked_device(known),
        progress=known.progress("restarts"),
    )


def _assignment(_: Known, found: KMeansResult) -> IntVector:
    return found.assignment


def _table(_: Known, found: Neighbors) -> IntMatrix:
    return found.table


def training_values(known: Known, method: str, schedule: TrainingSchedule) -> Values:
    """What training hangs on under a schedule."""
    return {
        "method": method,
        "count": known.result("cluster_count"),
        "epochs": schedule.epochs,
        "batch_size": min(schedule.batch_size, known.rows("training_set")),
        "temperature": schedule.temperature,
        "balance_weight": known.choices["balance_weight"],
        "learning_rate": known.choices["learning_rate"],
        "seed": known.choices["seed"],
    }


def asked_schedule(known: Known) -> Values:
    """The parts of the schedule that a person may set."""
    return {name: known.choices[name] for name in ("epochs", "batch_size", "temperature")}


def training_arguments(known: Known, values: Values) -> Values:
    """What both trainings take beside the rows and the neighbors."""
    return {
        "n_clusters": values["count"],
        "schedule": TrainingSchedule(values["epochs"], values["batch_size"], values["temperature"]),
        "balance_weight": values["balance_weight"],
        "learning_rate": values["learning_rate"],
        "seed": values["seed"],
        "device": asked_device(known),
        "progress": known.progress("epochs"),
    }


def _head_values(known: Known) -> Values:
    schedule = training_schedule(known.result("cluster_count"), **asked_schedule(known))
    return training_values(known, "published", schedule)


def _train_heads(known: Known, values: Values) -> TrainedHeads:
    # Torch is imported with it, and what only asks for a method's values goes without.
    from tac_pipeline.method.heads.training import train_cluster_heads

    return train_cluster_heads(
        known.result("training_set"),
        known.result("text_rows"),
        known.result("image_neighbors"),
        known.result("text_neighbors"),
        **training_arguments(known, values),
    )


PAPER = Method(
    name="published",
    takes_known=False,
    takes_lessons=False,
    groups_without_words=False,
    shortlist_factor=None,
    naming_tau=TAU,
    whitening=Piece(_no_whitening, lambda _: {}),
    semantic_centers=Piece(_find_centers, _center_values, passes_on=lambda _, found: found.centers),
    noun_vocabulary=Piece(_choose_vocabulary, passes_on=_chosen_vectors),
    text_counterparts=Piece(_retrieve, _tau_values),
    image_neighbors=Piece(_image_neighbors, _neighbor_values, passes_on=_table),
    text_weight=Piece(_published_weight, _weight_values),
    text_rows=Piece(_text_alone),
    text_neighbors=Piece(_text_neighbors, _text_neighbor_values, passes_on=_table),
    image_kmeans=Piece(_image_kmeans, _kmeans_values, passes_on=_assignment),
    training_free_clusters=Piece(_training_free, _training_free_values, passes_on=_assignment),
    cluster_heads=Piece(_train_heads, _head_values),
)
