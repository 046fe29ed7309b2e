"""Group nouns: the candidate nouns and their vectors."""

from pathlib import Path
from typing import TYPE_CHECKING

from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import load_encoder, text_encoder_name
from assets.ui import previews
from tac_pipeline.arrow import UNSTATED_ENCODER
from tac_pipeline.settings.keys import EncoderSettings, Nouns
from tac_pipeline.store.schemas import CANDIDATE_NOUNS, NOUN_EMBEDDINGS

if TYPE_CHECKING:
    from tac_pipeline.nouns import CandidateNouns


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
    if nouns.source != "wordnet" and _load(inputs, nouns).embeddings is not None:
        return {"given": _source_version(inputs, nouns)}
    return {"encoder": text_encoder_name(inputs.project), "templates": nouns.templates}


@stored_asset(
    group="nouns",
    schema=NOUN_EMBEDDINGS,
    settings=["nouns.source", "nouns.templates", "nouns.exclude_offensive", "encoder.model", "encoder.pretrained"],
    deps=[candidate_nouns],
    resolve=_resolve_noun_embeddings,
    kinds=["parquet", "pytorch"],
    shared=True,
    load=Inputs.vectors,
)
def noun_embeddings(inputs: Inputs, out: Output, nouns: Nouns, encoder: EncoderSettings) -> None:
    """One unit vector per noun: the mean of its prompts' vectors, or the vectors that the noun table holds."""
    from tac_pipeline.digest import digest

    words = inputs.table(candidate_nouns, columns=["noun"])["noun"]
    if "given" in inputs.values:
        given = _load(inputs, nouns)
        vectors, fingerprint = given.embeddings, given.encoder or UNSTATED_ENCODER
    else:
        fingerprint = inputs.values["encoder"]
        inputs.log(f"{len(words):,} nouns in {len(nouns.templates)} prompts to encode with {fingerprint}")
        vectors = load_encoder(inputs.project).encode_nouns(
            words.to_list(),
            templates=nouns.templates,
            batch_size=encoder.batch_size,
            progress=inputs.progress("nouns"),
        )
    out.write({"noun": words, "embedding": vectors}, encoder=fingerprint)
    # As with images: the same nouns, encoded in other batches, differ in their last bits only.
    out.content = digest([inputs.values, inputs.artifact(candidate_nouns).content])
    out.fact(encoder=fingerprint)
