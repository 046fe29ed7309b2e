"""The robust method: groups by image and words in whitened spaces, without training (docs/decisions/0100).

Neighbors are found among whitened images, words are heard softly, and both are whitened by the scatter within groups
before k-means from Ward's start groups them. The head that assigns is the nearest center in the whitened images' space.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.teaching import Lessons
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.neighbors import Neighbors, find_neighbors, no_neighbors
from tac_pipeline.method.grouping.regrouping import Regrouping
from tac_pipeline.method.grouping.semantic_centers import count_semantic_centers
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult
from tac_pipeline.method.grouping.ward import count_micro, ward_kmeans
from tac_pipeline.method.grouping.whitening import Whitening, whiten_by_total, whiten_within
from tac_pipeline.method.paper import PAPER, asked_device, level_values
from tac_pipeline.method.recipe import Known, Piece, Values
from tac_pipeline.method.values.robust import (
    FINER,
    FINER_REGROUPINGS,
    FINER_SHARE,
    FIT_IMAGES,
    GROUP_SHARE,
    NEIGHBORS,
    NOUNS_PER_GROUP,
    REGROUPED_EXAMPLES,
    REGROUPED_IMAGES,
    REGROUPED_SHARE,
    REGROUPINGS,
    ROUNDS,
    SCATTER_IMAGES,
    SHORTLIST_FACTOR,
    SHRINKAGE,
    TAU_IMAGES,
    TAU_PER_SPREAD,
    TEXT_WEIGHT,
    WHITENING_POWER,
)
from tac_pipeline.method.words.grouping_by_words import Recipe, group_as_taught, group_by_words
from tac_pipeline.method.words.noun_fit import measure_noun_fit
from tac_pipeline.method.words.text_counterparts import Counterparts, choose_tau, retrieve_text_counterparts
from tac_pipeline.method.words.text_weight import TextWeight, given_text_weight

if TYPE_CHECKING:
    from tac_pipeline.method.heads.linear_head import CenterHeads


def _whitening_values(_: Known) -> Values:
    return {"power": WHITENING_POWER}


def _whiten(known: Known, values: Values) -> Whitening:
    return whiten_by_total(known.result("training_set"), power=values["power"])


def _neighbor_values(known: Known) -> Values:
    wanted = known.choices["neighbors"]
    return {"count": min(NEIGHBORS if wanted is None else wanted, known.rows("training_set") - 1)}


def _image_neighbors(known: Known, values: Values) -> Neighbors:
    rows = known.result("whitening").apply(known.result("training_set"))
    return find_neighbors(rows, count=values["count"], progress=known.progress("images"))


def _center_values(known: Known) -> Values:
    n_images = known.rows("training_set")
    n_centers = count_semantic_centers(
        n_images,
        known.result("cluster_count"),
        images_per_center=known.choices["images_per_center"],
        count=known.choices["n_centers"],
    )
    return {"n_centers": n_centers, "seed": known.choices["seed"], **_start(known, n_centers)}


def _start(known: Known, n_clusters: int) -> Values:
    """What k-means starts from."""
    # On two levels each cell has its own tree.
    own = level_values(known, n_clusters) or {"micro": count_micro(known.rows("training_set"), n_clusters)}
    return {"start": "ward", **own}


def _find_centers(known: Known, values: Values) -> KMeansResult:
    return _from_ward(known, values, n_clusters=values["n_centers"])


def _from_ward(known: Known, values: Values, *, n_clusters: int) -> KMeansResult:
    return ward_kmeans(
        known.result("training_set"),
        n_clusters=n_clusters,
        seed=values["seed"],
        levels=values.get("levels", 1),
        device=asked_device(known),
    )


def _tau_values(known: Known) -> Values:
    given = known.choices["tau"]
    return {"tau": given} if given is not None else {"tau": None, "per_spread": TAU_PER_SPREAD}


def tau_by_rule(images: FloatMatrix, nouns: FloatMatrix) -> float:
    """The temperature of this method for these images and the chosen nouns."""
    return choose_tau(images, nouns, per_spread=TAU_PER_SPREAD, max_images=TAU_IMAGES)


def _retrieve(known: Known, values: Values) -> Counterparts:
    images, nouns = known.result("training_set"), known.result("noun_vocabulary")
    tau = tau_by_rule(images, nouns) if values["tau"] is None else values["tau"]
    return Counterparts(retrieve_text_counterparts(images, nouns, tau=tau, progress=known.progress("images")), tau)


def _weight_values(known: Known) -> Values:
    given = known.choices["text_weight"]
    if given is not None:
        return {"weight": given, "given": True}
    return {
        "weight": TEXT_WEIGHT,
        "given": False,
        "count": known.result("cluster_count"),
        "fit_images": FIT_IMAGES,
        "seed": known.choices["seed"],
    }


def _weigh_text(known: Known, values: Values) -> TextWeight:
    """The same weight in every store; what is measured is only told."""
    weight = values["weight"]
    if values["given"]:
        return given_text_weight(weight)
    images = known.result("training_set")
    fit = measure_noun_fit(
        images[:: -(-len(images) // values["fit_images"])],
        known.result("noun_vocabulary"),
        tau=known.result("text_counterparts").tau,
        n_clusters=values["count"],
        seed=values["seed"],
    )
    return TextWeight(weight, weight, (), f"weight {weight:g} beside the images' 1; {fit.sentence}", fit)


def _no_text_neighbors(known: Known, _: Values) -> Neighbors:
    return no_neighbors(known.rows("training_set"))


def _image_and_text(known: Known, _: Values) -> FloatMatrix:
    raise NotImplementedError("the robust method trains no text head")


def _kmeans_values(known: Known) -> Values:
    count = known.result("cluster_count")
    return {"count": count, "seed": known.choices["seed"], **_start(known, count)}


def _image_kmeans(known: Known, values: Values) -> KMeansResult:
    return _from_ward(known, values, n_clusters=values["count"])


def _grouping_values(known: Known) -> Values:
    return {
        **_kmeans_values(known),
        "text_weight": known.result("text_weight").training_free,
        "rounds": ROUNDS,
        "nouns_per_group": NOUNS_PER_GROUP,
        "group_share": GROUP_SHARE,
        "shrinkage": SHRINKAGE,
        "scatter_images": SCATTER_IMAGES,
    }


def _group(known: Known, values: Values) -> KMeansResult:
    counterparts = known.result("text_counterparts")
    recipe = Recipe(
        tau=counterparts.tau,
        text_weight=values["text_weight"],
        rounds=values["rounds"],
        nouns_per_group=values["nouns_per_group"],
        group_share=values["group_share"],
        shrinkage=values["shrinkage"],
        scatter_images=values["scatter_images"],
    )
    lessons = known.optional("lessons")
    if lessons is not None:
        return _group_as_taught(known, lessons, recipe, count=values["count"])
    return group_by_words(
        known.result("training_set"),
        counterparts.rows,
        known.result("noun_shortlist"),
        known.result("image_neighbors"),
        n_clusters=values["count"],
        recipe=recipe,
        seed=values["seed"],
        known=known.optional("known_labels"),
        levels=values.get("levels", 1),
        device=asked_device(known),
        progress=known.progress("groupings"),
    )


def _group_as_taught(known: Known, lessons: Lessons, recipe: Recipe, *, count: int) -> KMeansResult:
    """The groups before, as people corrected them."""
    if count != len(lessons.group_of):
        raise InputError(f"a learning from corrections has the {len(lessons.group_of)} groups they leave; got {count}")
    return group_as_taught(
        known.result("training_set"),
        known.result("noun_shortlist"),
        known.result("image_neighbors"),
        lessons,
        recipe=recipe,
    )


def _head_values(known: Known) -> Values:
    return {
        "method": "robust",
        "count": known.result("cluster_count"),
        "group_share": GROUP_SHARE,
        "shrinkage": SHRINKAGE,
        "regroupings": REGROUPINGS,
        "text_weight": known.result("text_weight").training_free,
        "seed": known.choices["seed"],
        **level_values(known, known.result("cluster_count")),
    }


def _regrouped(n_images: int, classes: IntVector | None) -> IntVector:
    """The rows that confidence is measured with: evenly taken, and some examples of each known class."""
    evenly = np.arange(0, n_images, -(-n_images // REGROUPED_IMAGES))
    if classes is None:
        return evenly
    rows = np.flatnonzero(classes >= 0)
    examples = [rows[classes[rows] == known][:REGROUPED_EXAMPLES] for known in range(int(classes.max(initial=-1)) + 1)]
    return np.unique(np.concatenate([evenly, *examples]))


def _find_heads(known: Known, values: Values) -> CenterHeads:
    """The groups' centers among the images, whitened by the groups' own scatter; words only teach the groups."""
    from tac_pipeline.method.heads.linear_head import CenterHeads, center_head, make_sure

    images, groups = known.result("training_set"), known.result("training_free_clusters")
    texts, neighbors = known.result("text_counterparts").rows, known.result("image_neighbors")
    shares = {"group_share": values["group_share"], "shrinkage": values["shrinkage"]}
    whitening = whiten_within(images, neighbors, groups, **shares)
    image_head = center_head(images, groups, n_clusters=values["count"], whitening=whitening)
    regrouping = Regrouping(REGROUPINGS, REGROUPED_SHARE, FINER_REGROUPINGS, FINER, FINER_SHARE)
    classes = known.optional("known_labels")
    some = _regrouped(len(images), classes)
    # Where groups were found by image and word, images alone would return less often than they should.
    seen = whitening.apply(images[some])
    if values["text_weight"] > 0:
        by_words = whiten_within(texts, neighbors, groups, **shares).apply(texts[some])
        seen = blend_rows(seen, by_words, text_weight=values["text_weight"])
    returns = make_sure(
        image_head,
        images[some],
        seen,
        regrouping=regrouping,
        seed=values["seed"],
        known=None if classes is None else classes[some],
        levels=values.get("levels", 1),
    )
    text_head = center_head(texts, groups, n_clusters=values["count"])
    agreement, persistence = float(returns.votes.mean()), float(returns.persistence.mean())
    return CenterHeads(image_head, text_head, (), agreement, persistence)


ROBUST = replace(
    PAPER,
    name="robust",
    takes_known=True,
    takes_lessons=True,
    groups_without_words=True,
    shortlist_factor=SHORTLIST_FACTOR,
    whitening=Piece(_whiten, _whitening_values),
    image_neighbors=replace(PAPER.image_neighbors, compute=_image_neighbors, values=_neighbor_values),
    semantic_centers=replace(PAPER.semantic_centers, compute=_find_centers, values=_center_values),
    text_counterparts=Piece(_retrieve, _tau_values),
    text_weight=Piece(_weigh_text, _weight_values),
    text_rows=Piece(_image_and_text),
    text_neighbors=replace(PAPER.text_neighbors, compute=_no_text_neighbors, values=None),
    image_kmeans=replace(PAPER.image_kmeans, compute=_image_kmeans, values=_kmeans_values),
    training_free_clusters=replace(PAPER.training_free_clusters, compute=_group, values=_grouping_values),
    cluster_heads=Piece(_find_heads, _head_values),
)
