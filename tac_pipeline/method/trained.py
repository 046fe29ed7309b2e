"""Trained heads, joined: the robust method until version 0.1, kept to compare with.

Words count as far as they keep images that look alike together, the text head sees image and text, and heads from
several seeds are joined into one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.paper import (
    PAPER,
    asked_schedule,
    level_values,
    training_arguments,
    training_values,
)
from tac_pipeline.method.recipe import Known, Piece, Values
from tac_pipeline.method.values.robust import SHORTLIST_FACTOR
from tac_pipeline.method.values.trained import ASKED_NEIGHBORS, count_members, count_neighbors, robust_schedule
from tac_pipeline.method.words.text_weight import TextWeight, choose_text_weight, given_text_weight

if TYPE_CHECKING:
    from tac_pipeline.method.heads.joined_heads import JoinedHeads


def _sizes(known: Known) -> tuple[int, int]:
    return known.rows("training_set"), known.result("cluster_count")


def _neighbor_values(known: Known) -> Values:
    n_images, n_clusters = _sizes(known)
    wanted = count_neighbors(n_images, n_clusters, count=known.choices["neighbors"])
    return {"count": min(wanted, n_images - 1)}


def _weight_values(known: Known) -> Values:
    given = known.choices["text_weight"]
    if given is not None:
        return {"weight": given}
    count = known.result("cluster_count")
    return {"weight": None, "count": count, "seed": known.choices["seed"], **level_values(known, count)}


def _weigh_text(known: Known, values: Values) -> TextWeight:
    if values["weight"] is not None:
        return given_text_weight(values["weight"])
    return choose_text_weight(
        known.result("training_set"),
        known.result("text_counterparts").rows,
        known.result("image_neighbors")[:, :ASKED_NEIGHBORS],
        n_clusters=values["count"],
        seed=values["seed"],
        levels=values.get("levels", 1),
        progress=known.progress("text weights"),
    )


def _image_and_text(known: Known, _: Values) -> FloatMatrix:
    return blend_rows(
        known.result("training_set"),
        known.result("text_counterparts").rows,
        text_weight=known.result("text_weight").heads,
    )


def _text_neighbor_values(known: Known) -> Values:
    return {**_neighbor_values(known), "text_weight": known.result("text_weight").heads}


def _head_values(known: Known) -> Values:
    n_images, n_clusters = _sizes(known)
    schedule = robust_schedule(n_images, n_clusters, **asked_schedule(known))
    return {
        **training_values(known, "trained", schedule),
        "members": count_members(n_images, members=known.choices["members"]),
        "text_weight": known.result("text_weight").heads,
    }


def _learn_heads(known: Known, values: Values) -> JoinedHeads:
    from tac_pipeline.method.heads.joined_heads import learn_joined_heads  # with torch

    return learn_joined_heads(
        known.result("training_set"),
        known.result("text_rows"),
        known.result("image_neighbors"),
        known.result("text_neighbors"),
        kmeans=known.result("image_kmeans"),
        members=values["members"],
        **training_arguments(known, values),
    )


TRAINED = replace(
    PAPER,
    name="trained",
    shortlist_factor=SHORTLIST_FACTOR,
    image_neighbors=replace(PAPER.image_neighbors, values=_neighbor_values),
    text_weight=Piece(_weigh_text, _weight_values),
    text_rows=Piece(_image_and_text),
    text_neighbors=replace(PAPER.text_neighbors, values=_text_neighbor_values),
    cluster_heads=Piece(_learn_heads, _head_values),
)
