"""Group nouns: the candidate nouns and their vectors."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import load_encoder, text_encoder_name
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import UNSTATED_ENCODER
from tac_pipeline.digest import digest
from tac_pipeline.settings.keys import EncoderSettings, Nouns
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import CANDIDATE_NOUNS, NOUN_EMBEDDINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tac_pipeline.encoders import Encoder
    from tac_pipeline.nouns import CandidateNouns
    from tac_pipeline.store.prompted_nouns import PromptedNouns


def _load(inputs: Inputs, nouns: Nouns) -> "CandidateNouns":
    """The nouns of the source, read once per step."""
    from tac_pipeline.nouns import load_candidate_nouns

    if "nouns" not in inputs.carry:
        inputs.carry["nouns"] = load_candidate_nouns(
            _location(inputs, nouns), exclude_offensive=nouns.exclude_offensive
        )
    found: CandidateNouns = inputs.carry["nouns"]
    return found


def _location(inputs: Inputs, nouns: Nouns) -> str:
    return nouns.source if nouns.source == "wordnet" else inputs.project.resolve(nouns.source)


def _source_version(inputs: Inputs, nouns: Nouns) -> str:
    """A text that changes when the source changes: for WordNet the packaged version, for a file its bytes."""
    from tac_pipeline.digest import file_sha256

    if nouns.source == "wordnet":
        return nouns.source
    _load(inputs, nouns)  # a missing or unusable file is refused here, with the reader's message
    return file_sha256(Path(_location(inputs, nouns)))


def _resolve_candidates(inputs: Inputs, nouns: Nouns) -> Values:
    from tac_pipeline.wordnet import packaged_wordnet_version

    return {
        "source": _source_version(inputs, nouns),
        "wordnet": packaged_wordnet_version(),
        "exclude_offensive": nouns.exclude_offensive,
    }


@stored_asset(
    group="nouns",
    schema=CANDIDATE_NOUNS,
    settings=["nouns.source", "nouns.exclude_offensive"],
    resolve=_resolve_candidates,
    shared=True,
)
def candidate_nouns(inputs: Inputs, out: Output, nouns: Nouns) -> None:
    """The nouns that may name a group, with WordNet's synset and lexname if they have one."""
    candidates = _load(inputs, nouns)
    out.write(candidates.table.select("noun", "synset", "lexname"))
    out.fact(dropped_as_offensive=len(candidates.excluded))
    counts = candidates.table["lexname"].value_counts(sort=True)
    out.markdown("nouns per lexname", previews.table(counts.head(26)))


def _resolve_noun_embeddings(inputs: Inputs, nouns: Nouns, encoder: EncoderSettings) -> Values:
    from tac_pipeline.embedding.nouns import ONE_PROMPT

    if nouns.source != "wordnet" and _load(inputs, nouns).embeddings is not None:
        return {"given": _source_version(inputs, nouns)}
    return {"encoder": text_encoder_name(inputs.project), "prompt": ONE_PROMPT}


@stored_asset(
    group="nouns",
    schema=NOUN_EMBEDDINGS,
    settings=["nouns.source", "nouns.exclude_offensive", "encoder.model", "encoder.pretrained"],
    deps=[candidate_nouns],
    resolve=_resolve_noun_embeddings,
    kinds=["parquet", "pytorch"],
    shared=True,
    load=Inputs.vectors,
)
def noun_embeddings(inputs: Inputs, out: Output, nouns: Nouns, encoder: EncoderSettings) -> None:
    """One unit vector per noun: that of one prompt, or the vector that the noun table holds."""
    words = inputs.table(candidate_nouns, columns=["noun"])["noun"]
    if "given" in inputs.values:
        given = _load(inputs, nouns)
        vectors, fingerprint = given.embeddings, given.encoder or UNSTATED_ENCODER
    else:
        fingerprint = inputs.values["encoder"]
        # Before an older version of this asset, which may hold them in all templates, can be removed.
        _open_table(inputs, load_encoder(inputs.project), nouns.templates)
        vectors = prompt_nouns(inputs, words.to_list(), templates=[inputs.values["prompt"]])
    out.write({"noun": words, "embedding": vectors}, encoder=fingerprint)
    # As with images: the same nouns, encoded in other batches, differ in their last bits only.
    out.content = digest([inputs.values, inputs.artifact(candidate_nouns).content])
    out.fact(encoder=fingerprint, given="given" in inputs.values)


def prompt_nouns(
    inputs: Inputs, words: "Sequence[str]", *, templates: "Sequence[str]", count: int | None = None
) -> FloatMatrix:
    """The nouns' vectors as the mean of their first `count` templates, float32 (n_nouns, dim), unit rows.

    What no store of the data folder has encoded yet is encoded, and kept for all of them.
    """
    from tac_pipeline.embedding.nouns import embed_nouns

    store, encoder = open_store(inputs.project), load_encoder(inputs.project)
    known = _open_table(inputs, encoder, templates)
    vectors = embed_nouns(
        words,
        encoder,
        known,
        templates=templates,
        count=count,
        batch_size=inputs.project.settings.encoder.batch_size,
        progress=inputs.progress("nouns"),
    )
    if known.has_many_files:
        # Only now: another store may hold this lock for as long as it encodes nouns.
        with store.building(shared=True, on_wait=inputs.log):
            known.join_files()
    return vectors


def _open_table(inputs: Inputs, encoder: "Encoder", templates: "Sequence[str]") -> "PromptedNouns":
    """The shared table of an encoder and templates. An empty one is filled with what is already there.

    That is what the package has for its own encoder, or a version of noun_embeddings from before there was the table.
    """
    from tac_pipeline.embedding.nouns import seed_from_package
    from tac_pipeline.store.prompted_nouns import ANY, NounMeans, PromptedNouns

    store = open_store(inputs.project)
    known = PromptedNouns(
        store.prompted_nouns_folder, encoder=encoder.text_fingerprint, templates=templates, dim=encoder.dim
    )
    if known or seed_from_package(known, templates=templates):
        return known
    made_of = {"encoder": known.encoder, "templates": list(templates)}
    earlier = (version for version in store.versions(noun_embeddings.name) if version.record["values"] == made_of)
    whole = next((version for version in earlier if not version.damage()), None)
    if whole is not None:
        table = whole.table(NOUN_EMBEDDINGS)
        found = NounMeans(np.full(len(table), ANY), vectors_of(table))
        known.append(table.column("noun").to_pylist(), found)
        inputs.log(f"{len(table):,} nouns were encoded in these templates before; none of them is encoded again")
    return known
