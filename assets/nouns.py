"""Group nouns: the candidate nouns and their vectors."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import load_encoder, text_encoder_name
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import UNSTATED_ENCODER
from tac_pipeline.digest import digest
from tac_pipeline.nouns import WORDNET
from tac_pipeline.settings.keys import EncoderSettings, Nouns
from tac_pipeline.settings.project import Project
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import CANDIDATE_NOUNS, NOUN_EMBEDDINGS, OWN_WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tac_pipeline.encoders import Encoder
    from tac_pipeline.method.words.kinds import NounKinds
    from tac_pipeline.nouns import CandidateNouns
    from tac_pipeline.store.prompted_nouns import PromptedNouns
    from tac_pipeline.wordnet import Wording
    from tac_pipeline.wordnet.languages import LanguageFile


# Raised by hand when a line of a file means something else.
OWN_WORDS_RULE = "1"
# What `wording_values` reads of the settings.
WORDING_KEYS = ("nouns.language", "nouns.language_data")


def _load(inputs: Inputs, nouns: Nouns) -> "CandidateNouns":
    """The nouns of the sources, read once per step."""
    from tac_pipeline.nouns import load_candidate_nouns

    if "nouns" not in inputs.carry:
        inputs.carry["nouns"] = load_candidate_nouns(
            noun_sources(inputs.project), exclude_offensive=nouns.exclude_offensive
        )
    found: CandidateNouns = inputs.carry["nouns"]
    return found


def noun_sources(project: Project) -> list[str]:
    """The sources of the nouns: `wordnet`, and files by their absolute paths."""
    return [place if place == WORDNET else project.resolve(place) for place in project.settings.nouns.places]


def _source_version(inputs: Inputs) -> str | list[str]:
    """What changes when a source changes: for WordNet the packaged version, for a file its bytes; of several a list."""
    from tac_pipeline.digest import file_sha256

    versions = [place if place == WORDNET else file_sha256(Path(place)) for place in noun_sources(inputs.project)]
    return versions[0] if len(versions) == 1 else versions


def _resolve_candidates(inputs: Inputs, nouns: Nouns) -> Values:
    from tac_pipeline.wordnet import packaged_wordnet_version

    # A missing or unusable file is refused here, with the reader's message.
    says_more = nouns.places != [WORDNET] and _load(inputs, nouns).says_more
    return {
        "source": _source_version(inputs),
        "wordnet": packaged_wordnet_version(),
        "exclude_offensive": nouns.exclude_offensive,
        # Files that earlier versions read in another way; the others keep their recipe.
        **({"own_words": OWN_WORDS_RULE} if says_more else {}),
    }


@stored_asset(
    group="nouns",
    schema=CANDIDATE_NOUNS,
    settings=["nouns.source", "nouns.exclude_offensive"],
    resolve=_resolve_candidates,
    shared=True,
)
def candidate_nouns(inputs: Inputs, out: Output, nouns: Nouns) -> None:
    """The nouns that may name a group, with WordNet's synset and lexname if they have one.

    What people say of their own words is beside them: weights, and words that are never used.
    """
    candidates = _load(inputs, nouns)
    out.write(candidates.table.select("noun", "synset", "lexname"))
    out.fact(dropped_as_offensive=len(candidates.excluded))
    if candidates.says_more:
        _write_own_words(out, candidates)
    for note in candidates.notes:
        inputs.log(note)
    counts = candidates.table["lexname"].value_counts(sort=True)
    out.markdown("nouns per lexname", previews.table(counts.head(26)))


def _write_own_words(out: Output, candidates: "CandidateNouns") -> None:
    from tac_pipeline.digest import file_sha256
    from tac_pipeline.store.artifacts import content_of

    own, never = candidates.table["noun"].filter(pl.Series(candidates.own)).to_list(), list(candidates.never)
    weights = [*candidates.weights[candidates.own].tolist(), *[1.0] * len(never)]
    told = [*[False] * len(own), *[True] * len(never)]
    out.write_other(OWN_WORDS, {"noun": [*own, *never], "weight": weights, "never": told})
    # The nouns alone: a weight changes names, and nothing that is learned.
    name = CANDIDATE_NOUNS.file_name
    out.content = content_of({name: {"sha256": file_sha256(out.path(name))}})
    out.fact(own_words=len(own), never_used=len(never))


def _resolve_noun_embeddings(inputs: Inputs, nouns: Nouns, encoder: EncoderSettings) -> Values:
    from tac_pipeline.embedding.nouns import ONE_PROMPT

    # WordNet has no vectors, and goes together with no source that has them.
    given = None if WORDNET in nouns.places else _load(inputs, nouns)
    if given is not None and given.embeddings is not None:
        # A weight in the file is no reason to learn again.
        plain = not given.says_more
        return {"given": _source_version(inputs) if plain else _vectors_digest(given)}
    return {"encoder": text_encoder_name(inputs.project), "prompt": ONE_PROMPT}


def _vectors_digest(given: "CandidateNouns") -> str:
    """A digest of nouns, their vectors and the encoder."""
    import hashlib

    vectors = np.ascontiguousarray(given.embeddings)
    return digest([given.table["noun"].to_list(), hashlib.sha256(vectors.data).hexdigest(), given.encoder])


@stored_asset(
    group="nouns",
    schema=NOUN_EMBEDDINGS,
    settings=["nouns.source", "nouns.exclude_offensive", "encoder.model", "encoder.pretrained", "encoder.second"],
    deps=[candidate_nouns],
    columns_from={
        "embedding": [(candidate_nouns, "noun")],
    },
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


def wording_values(inputs: Inputs) -> Values:
    """What decides how kinds are called, for the recipe of a step that names; empty for WordNet's nouns in English.

    The step lists WORDING_KEYS among its settings, and candidate_nouns in value_deps.
    """
    candidates, values = inputs.artifact(candidate_nouns), Values()
    written = candidates.record["files"].get(OWN_WORDS.file_name)
    if written is not None:
        values["own_words"] = written["sha256"]
    elif _is_plain_file(inputs):
        values["own_words"] = "all"
    language = _language_file(inputs)
    return values if language is None else {**values, "language": language.version}


def wording_of(inputs: Inputs) -> "Wording":
    """What kinds are called: in the language of the settings, and never by a word that people do not want."""
    from tac_pipeline.wordnet import Wording, read_language

    file = _language_file(inputs)
    language = None if file is None else read_language(file)
    for note in () if language is None else language.notes:
        inputs.log(note)
    return Wording(language, never=_own_words(inputs).filter("never")["noun"].to_list())


def kinds_of(inputs: Inputs, words: "Sequence[str]") -> "NounKinds":
    """The kinds of some candidate nouns, with people's own words and weights, as `wording_of` calls them."""
    from tac_pipeline.wordnet import noun_kinds

    told = _own_words(inputs).filter(~pl.col("never"))
    weights = dict(told.select("noun", "weight").iter_rows())
    plain = _is_plain_file(inputs)
    return noun_kinds(
        words,
        wording=wording_of(inputs),
        own=np.array([plain or word in weights for word in words], dtype=bool),
        weight=np.array([weights.get(word, 1.0) for word in words], dtype=np.float32),
        # A file in place of WordNet is a vocabulary; words beside WordNet are how people want to call things.
        as_written=not plain,
    )


def _own_words(inputs: Inputs) -> pl.DataFrame:
    """The table of what people say of their words; empty where they say nothing."""
    candidates = inputs.artifact(candidate_nouns)
    if OWN_WORDS.file_name in candidates.record["files"]:
        return candidates.frame(OWN_WORDS)
    return pl.DataFrame(schema=pl.Schema(OWN_WORDS.arrow(None)))


def _is_plain_file(inputs: Inputs) -> bool:
    """Whether all nouns are from one file that says nothing more of them: all of them are people's own."""
    record = inputs.artifact(candidate_nouns).record
    return record["values"]["source"] != WORDNET and OWN_WORDS.file_name not in record["files"]


def _language_file(inputs: Inputs) -> "LanguageFile | None":
    """The words of the settings' language, found once per step; None for English."""
    from tac_pipeline.wordnet import find_language_file, language_code
    from tac_pipeline.wordnet.languages import ENGLISH

    nouns = inputs.project.settings.nouns
    code = ENGLISH if nouns.language is None else language_code(nouns.language)
    if code == ENGLISH:
        return None
    if "language" not in inputs.carry:
        given = None if nouns.language_data is None else Path(inputs.project.resolve(nouns.language_data))
        inputs.carry["language"] = find_language_file(code, given=given)
    found: LanguageFile = inputs.carry["language"]
    return found
