"""Group text space: the criterion, K, the semantic centers and their nouns, a text counterpart for every image."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.engine.by_method import compute_piece
from assets.engine.seen import CRITERION, seen_vectors
from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images import load_encoder, text_encoder_name, training_set
from assets.nouns import noun_embeddings, prompt_nouns
from assets.people.lessons import lessons, load_lessons
from assets.ui import previews
from tac_pipeline.arrays import SHORTEST_ROW, FloatMatrix, IntVector
from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.method import load_method
from tac_pipeline.settings.keys import Clusters, Nouns, Vocabulary
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import (
    CLUSTER_COUNT,
    COUNT_EVIDENCE,
    CRITERION_VIEW,
    NOUN_MEAN,
    NOUN_SHORTLIST,
    NOUN_VOCABULARY,
    SEMANTIC_CENTERS,
    TEXT_COUNTERPARTS,
)
from tac_pipeline.store.schemas import CRITERION as CRITERION_TABLE

if TYPE_CHECKING:
    from tac_pipeline.method.words.noun_shortlist import CandidateVectors
    from tac_pipeline.method.words.text_counterparts import Counterparts

# Raised by hand when a number that is found may be another one; the code version would move given numbers as well.
COUNT_RULE = "3"
# What two words tell apart.
SIDES = 2
SHOWN_CHARACTERS = 40
NO_COARSE = (
    "There is no coarse level: no number up to half of K gives groups that come back in another half of the images. "
    "So K is the fine number, {count}."
)
# How many images are used to see whether tau fits.
ASKED_IMAGES = 2000


def _resolve_criterion(inputs: Inputs, group_by: str | list[str] | None, nouns: Nouns, **_: Any) -> Values:
    if group_by is None:
        return {"words": None}
    from tac_pipeline.method.values.criteria import criterion_words

    words = list(criterion_words(group_by))
    if not inputs.fact(noun_embeddings, "given"):
        return {"words": words, "templates": nouns.templates, "encoder": text_encoder_name(inputs.project)}
    inputs.carry["rows"] = _rows_of_words(inputs, words)
    return {"words": words, "nouns": "as given"}


def _rows_of_words(inputs: Inputs, words: list[str]) -> IntVector:
    """The rows of a criterion's words among the given nouns, whatever their case."""
    known: dict[str, int] = {}
    for row, noun in enumerate(inputs.table(noun_embeddings, columns=["noun"])["noun"].to_list()):
        known.setdefault(noun.casefold(), row)
    missing = [word for word in words if word.casefold() not in known]
    if missing:
        raise InputError(
            f"group_by: {len(missing)} of {len(words)} words are not in nouns.source, whose vectors were given: "
            f"{first_few(missing, 5)}. Add them to that table with their vectors, or group by words that it has."
        )
    return np.array([known[word.casefold()] for word in words])


@stored_asset(
    group="text space",
    schema=CRITERION_TABLE,
    settings=["group_by", "nouns.templates", "encoder.model", "encoder.pretrained", "encoder.second"],
    deps_when={"group_by": [training_set, noun_embeddings]},
    resolve=_resolve_criterion,
    kinds=["parquet", "pytorch"],
)
def criterion(inputs: Inputs, out: Output, group_by: str | list[str] | None, nouns: Nouns, **_: Any) -> None:
    """What the groups tell apart: its words, and the directions between them, by which learning sees the images.

    Empty in a store that names none (`group_by`).
    """
    if group_by is None:
        out.write({"noun": [], "embedding": np.empty((0, 1), dtype=np.float32)}, encoder="none")
        out.write_other(CRITERION_VIEW, {"direction": [], "center": [], "weights": []})
        return
    from tac_pipeline.arrow import require_same_space
    from tac_pipeline.method.words.criterion import find_view

    words: list[str] = inputs.values["words"]
    encoder = inputs.encoder(noun_embeddings)
    require_same_space(inputs.encoder(training_set), encoder)
    if "rows" in inputs.carry:
        vectors = inputs.vectors_at(noun_embeddings, inputs.carry["rows"])
    else:
        _require_whole_words(inputs, words, nouns.templates)
        vectors = prompt_nouns(inputs, words, templates=nouns.templates)
    found = find_view(inputs.vectors(training_set), vectors)
    out.write({"noun": words, "embedding": found.words}, encoder=encoder)
    weights = list(found.view.directions)
    out.write_other(
        CRITERION_VIEW, {"direction": list(range(len(weights))), "center": found.view.center, "weights": weights}
    )
    # Vectors of the same words, encoded in other batches, differ in their last bits only.
    out.content = digest([inputs.values, inputs.contents(criterion)])
    out.fact(directions=len(weights), words=len(words))
    out.markdown("words", ", ".join(words))


def _require_whole_words(inputs: Inputs, words: list[str], templates: list[str]) -> None:
    """Refuse words that the encoder would read only in part."""
    encoder = load_encoder(inputs.project)
    cut = [word for word in words if encoder.cut_texts([template.replace("{}", word) for template in templates])]
    if cut:
        raise InputError(
            f"group_by: the encoder cannot read {len(cut)} of {len(words)} entries to their end: "
            f"{first_few([word[:SHOWN_CHARACTERS] for word in cut], 3)}. Write single words or short phrases."
        )


def load_count(inputs: Inputs, asset: Step) -> int:
    """How the method reads K."""
    count: int = inputs.fact(asset, "count")
    return count


def _resolve_count(inputs: Inputs, clusters: Clusters, seed: int) -> Values:
    n_images = inputs.rows(training_set)
    _require_sides(inputs, clusters)
    taught = load_lessons(inputs, lessons)
    if taught is not None:
        return {"count": len(taught.group_of), "found": "as people corrected the groups"}
    given = clusters.count if isinstance(clusters.count, int) else None
    key, fewest = ("min", clusters.min) if given is None else ("count", given)
    if fewest > n_images:
        raise InputError(
            f"clusters.{key} must be at most the number of training images; got {fewest} "
            f"and {n_images} images. Lower clusters.{key}, or add images."
        )
    if given is not None:  # it depends on nothing else
        return {"count": given}
    level = "coarse" if clusters.count == "coarse" else "auto"
    most = min(clusters.max, n_images, SIDES if _has_two_sides(inputs) else n_images)
    return {"count": level, "min": clusters.min, "max": most, "seed": seed, "rule": COUNT_RULE}


def _has_two_sides(inputs: Inputs) -> bool:
    """Whether a criterion has one direction only: an image is on one side or the other."""
    return CRITERION in inputs.artifacts and inputs.fact(criterion, "directions") == 1


def _require_sides(inputs: Inputs, clusters: Clusters) -> None:
    key, fewest = ("count", clusters.count) if isinstance(clusters.count, int) else ("min", clusters.min)
    if _has_two_sides(inputs) and fewest > SIDES:
        raise InputError(
            f"clusters.{key} must be {SIDES} where group_by has two words, because an image is nearer to one or to the "
            f"other; got {fewest}. Set it to {SIDES}, or add words to group_by."
        )


@stored_asset(
    group="text space",
    schema=CLUSTER_COUNT,
    settings=["clusters", "seed"],
    deps=[training_set],
    deps_when={"group_by": [criterion]},
    deps_if_any=[lessons],
    resolve=_resolve_count,
    load=load_count,
    kinds=["parquet", "numpy"],
    code_version="2",
)
def cluster_count(inputs: Inputs, out: Output, clusters: Clusters, seed: int) -> None:
    """K, the number of groups, given or found from the image vectors; every later step reads it from here.

    It is found without labels: the finest level of groups that shows more than vectors without groups would.
    """
    # Two words leave nothing to look for.
    taught = load_lessons(inputs, lessons)
    known: int | str = SIDES if _has_two_sides(inputs) else clusters.count
    if taught is not None:
        known = len(taught.group_of)
    if isinstance(known, int):
        out.write({"count": [known]})
        out.fact(count=known, found=False)
        return
    from tac_pipeline.method.grouping.cluster_count import estimate_cluster_count
    from tac_pipeline.method.grouping.count_evidence import SIGNALS

    found = estimate_cluster_count(
        seen_vectors(inputs, training_set),
        fewest=inputs.values["min"],
        most=inputs.values["max"],
        seed=seed,
        progress=inputs.progress("numbers of groups tried"),
    )
    count = found.at_level(str(clusters.count))
    out.write({"count": [count]})
    gaps = {f"{signal}_gap": gap for signal, gap in zip(SIGNALS, found.gaps, strict=True)}
    evidence = pl.DataFrame({"count": found.counts, "stability": found.stability, **gaps, "evidence": found.evidence})
    out.write_other(COUNT_EVIDENCE, evidence)
    out.fact(count=count, found=True, without_bounds=found.unbounded, images_looked_at=found.images)
    if found.coarse is not None:
        out.fact(coarse=found.coarse)
    elif clusters.count == "coarse":
        out.markdown("coarse", NO_COARSE.format(count=count))
    best = evidence.sort("evidence", descending=True).head(5)
    out.markdown("evidence", previews.table(best))
    out.picture("criterion by K", previews.count_picture(evidence, count))


@stored_asset(
    group="text space",
    schema=SEMANTIC_CENTERS,
    settings=["semantic_centers", "method", "seed", "encoder.device"],
    deps=[training_set],
    deps_when={"group_by": [criterion]},
    value_deps=[cluster_count],
    columns_from={
        "embedding": [(training_set, "embedding")],
    },
    by_method=True,
    load=Inputs.vectors,
    kinds=["parquet", "numpy"],
)
def semantic_centers(inputs: Inputs, out: Output, **_: Any) -> None:
    """Spherical k-means centers of the image vectors (paper step 3): finer than the groups, they choose the nouns."""
    found = compute_piece(semantic_centers, inputs)
    numbers = list(range(len(found.centers)))
    out.write({"center": numbers, "embedding": found.centers}, encoder=inputs.encoder(training_set))
    out.fact(n_centers=len(numbers), objective=found.objective, iterations=found.iterations)


def _resolve_shortlist(inputs: Inputs, nouns: Nouns, vocabulary: Vocabulary, method: str, **_: Any) -> Values:
    if CRITERION in inputs.artifacts:
        return {"nouns": "the criterion's"}
    if inputs.fact(noun_embeddings, "given"):
        return {"nouns": "all, as given"}
    length = shortlist_length(
        vocabulary, method, n_nouns=inputs.rows(noun_embeddings), n_centers=inputs.rows(semantic_centers)
    )
    return {"per_center": length, "templates": nouns.templates}


def shortlist_length(vocabulary: Vocabulary, method: str, *, n_nouns: int, n_centers: int) -> int | str:
    """Nouns around each center that are encoded in all templates, or `all`."""
    from tac_pipeline.method.words.noun_shortlist import choose_list_length

    if vocabulary.shortlist is not None:
        return vocabulary.shortlist
    factor = load_method(method).shortlist_factor
    length = choose_list_length(n_nouns, n_centers, nouns_per_center=vocabulary.nouns_per_center, factor=factor)
    return "all" if length is None else length


def load_candidates(inputs: Inputs, asset: Step) -> "CandidateVectors":
    """The nouns that may be chosen, and the mean of all."""
    from tac_pipeline.method.words.noun_shortlist import CandidateVectors

    table = inputs.artifact(asset).table(NOUN_MEAN)
    [direction], [length] = vectors_of(table), table.column("length").to_pylist()
    return CandidateVectors(inputs.vectors(asset), direction * length)


@stored_asset(
    group="text space",
    schema=NOUN_SHORTLIST,
    settings=["vocabulary", "nouns.templates", "method", "encoder.model", "encoder.pretrained", "encoder.second"],
    deps=[semantic_centers, noun_embeddings],
    deps_when={"group_by": [criterion]},
    resolve=_resolve_shortlist,
    load=load_candidates,
    kinds=["parquet", "pytorch"],
)
def noun_shortlist(inputs: Inputs, out: Output, nouns: Nouns, **_: Any) -> None:
    """The nouns nearest to the semantic centers, each as the mean of its prompts (paper step 2).

    Only these are encoded in all templates, and only once for all stores of the data folder. The words of a criterion
    take their place.
    """
    from tac_pipeline.arrays import require_same_width
    from tac_pipeline.arrow import require_same_space
    from tac_pipeline.method.words.noun_shortlist import CandidateVectors, shortlist_nouns

    encoder = inputs.encoder(noun_embeddings)
    require_same_space(inputs.encoder(semantic_centers), encoder)
    source = criterion if CRITERION in inputs.artifacts else noun_embeddings
    words = inputs.table(source, columns=["noun"])["noun"]
    seen, centers = inputs.vectors(source), inputs.vectors(semantic_centers)
    require_same_width(centers, seen, names=("the image vectors", "the noun vectors"))
    n_prompts = len(nouns.templates)

    def encode(rows: IntVector, count: int) -> FloatMatrix:
        inputs.log(f"{len(rows):,} of {len(words):,} nouns in {count} of {n_prompts} prompts")
        return prompt_nouns(inputs, words[rows].to_list(), templates=nouns.templates, count=count)

    rows = np.arange(len(words))
    if "nouns" in inputs.values:
        candidates = CandidateVectors.whole(seen)
    elif inputs.values["per_center"] == "all":
        candidates = CandidateVectors.whole(encode(rows, n_prompts))
    else:
        rows, candidates = shortlist_nouns(
            seen, centers, per_center=inputs.values["per_center"], n_templates=n_prompts, encode=encode
        )
    chosen = words[rows]
    out.write({"noun": chosen.to_arrow(), "embedding": candidates.vectors}, encoder=encoder)
    length = float(np.linalg.norm(candidates.mean))
    # The mean of two opposite words has no direction; any other one, no step far, is as good.
    direction = candidates.mean[None] / length if length > SHORTEST_ROW else candidates.vectors[:1]
    out.write_other(NOUN_MEAN, {"length": [length], "embedding": direction}, encoder=encoder)
    # Vectors of the same nouns, encoded in other batches, differ in their last bits only.
    out.content = digest([inputs.values, inputs.artifact(source).content, chosen.to_list()])
    out.fact(of=len(words))


@stored_asset(
    group="text space",
    schema=NOUN_VOCABULARY,
    settings=["vocabulary.nouns_per_center"],
    deps=[semantic_centers, noun_shortlist],
    columns_from={
        "center": [(semantic_centers, "center")],
        "embedding": [(noun_shortlist, "embedding")],
    },
    by_method=True,
    load=Inputs.vectors,
    kinds=["parquet", "numpy"],
)
def noun_vocabulary(inputs: Inputs, out: Output, **_: Any) -> None:
    """The most confident nouns of every semantic center (paper step 4)."""
    nouns, centers = inputs.vectors(noun_shortlist), inputs.vectors(semantic_centers)
    chosen = compute_piece(noun_vocabulary, inputs)
    words = inputs.table(noun_shortlist, columns=["noun"])["noun"][chosen.rows.tolist()]
    out.write(
        {
            "noun": words.to_arrow(),
            "center": chosen.center,
            "confidence": chosen.confidence,
            "embedding": nouns[chosen.rows],
        },
        encoder=inputs.encoder(noun_shortlist),
    )
    out.fact(n_centers=len(centers), centers_without_noun=chosen.n_centers_without_noun)
    by_center = (
        pl.DataFrame({"center": chosen.center, "noun": words, "confidence": chosen.confidence})
        .sort("center", "confidence", descending=[False, True])
        .group_by("center", maintain_order=True)
        .agg(pl.col("noun").str.join(", ").alias("nouns"))
    )
    out.markdown("chosen nouns", previews.table(by_center.head(60)))


def _load_counterparts(inputs: Inputs, asset: Step) -> "Counterparts":
    from tac_pipeline.method.words.text_counterparts import Counterparts

    return Counterparts(inputs.vectors(asset), inputs.fact(asset, "tau"))


@stored_asset(
    group="text space",
    schema=TEXT_COUNTERPARTS,
    settings=["retrieval", "method"],
    deps=[training_set, noun_vocabulary],
    deps_when={"group_by": [criterion]},
    columns_from={
        "embedding": [(training_set, "embedding"), (noun_vocabulary, "embedding")],
    },
    by_method=True,
    load=_load_counterparts,
    kinds=["parquet", "numpy"],
)
def text_counterparts(inputs: Inputs, out: Output, **_: Any) -> None:
    """One unit vector per training image, blended from the noun vocabulary (paper step 5)."""
    from tac_pipeline.method.words.text_counterparts import count_nouns_heard

    found = compute_piece(text_counterparts, inputs)
    images, nouns = seen_vectors(inputs, training_set), inputs.vectors(noun_vocabulary)
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    out.write({"image_id": ids.to_arrow(), "embedding": found.rows}, encoder=inputs.encoder(noun_vocabulary))
    heard = np.median(count_nouns_heard(images[:: -(-len(images) // ASKED_IMAGES)], nouns, tau=found.tau))
    out.fact(tau=found.tau, nouns_heard=float(heard))
    out.markdown(
        "does tau fit", f"With tau = {found.tau:.4g} an image's text is made of {heard:.1f} nouns in effect (median)."
    )
