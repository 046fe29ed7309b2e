"""What must hold before `tac run` does any work: corrections, packages, weights, disk space, the readers' place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assets.engine.execute import open_store
from assets.engine.step import Step
from assets.graph import LEARNING
from assets.images import image_embeddings, image_manifest
from assets.lookups.status import State, Status, all_status, choose_steps, family_status
from assets.nouns import candidate_nouns, noun_embeddings, noun_sources
from assets.people.written import require_corrections
from tac_pipeline.settings.project import Project


@dataclass(frozen=True)
class Plan:
    """The steps of a run, and sentences to print before it."""

    steps: list[Step]
    notes: list[str]


def plan_all(project: Project, *, recluster: bool = False) -> list[tuple[Project, Plan]]:
    """What `tac run` does for a store and its groupings, or a grouping alone; raises as plan_run, before any work."""
    require_destinations(project)
    found = family_status(project)
    return [(one, plan_run(one, recluster=recluster, found=statuses)) for one, statuses in found]


def require_destinations(project: Project) -> None:
    """Refuse a place of publication.to that cannot be written, for a store and its groupings.

    Raises
    ------
    SettingsError, MissingDependency, StoreError
    """
    from tac_pipeline.store.publishing.elsewhere import require_destination

    # Groupings mostly have the store's own place.
    for one in {(one.settings.publication.to, one.settings.publishes): one for one in project.parts}.values():
        require_destination(one)


def plan_run(project: Project, *, recluster: bool = False, found: list[Status] | None = None) -> Plan:
    """The steps of `tac run`, once everything holds that would end it in the middle.

    Parameters
    ----------
    found : list of Status, optional
        The state of every asset, where it is known already.

    Raises
    ------
    MissingDependency
        faiss is not installed.
    EncoderError
        Weights are damaged, or neither on this machine nor within reach.
    StoreError
        The disk has not enough room.
    SettingsError, InputError
        The file of corrections, or that of known classes, cannot be used.
    TacError
        A step would refuse at once.
    """
    from tac_pipeline.first_run.installed import package_notes, require_faiss
    from tac_pipeline.sources.tables.examples import require_examples

    # The step that reads it waits for all of learning, and that of known classes for all images.
    require_corrections(project)
    require_examples(project)
    found = all_status(project) if found is None else found
    steps = choose_steps(found, project, recluster=recluster)
    if any(step in LEARNING for step in steps):
        require_faiss()
    due = {status.step.name: status for status in found if status.state in (State.MISSING, State.STALE)}
    notes = package_notes() if due else []
    listed = due.get(image_manifest.name)
    if listed is not None:
        notes += passed_over_notes(listed.carry["listing"].passed_over_by_rule)
    encoded = _to_encode(project, due)
    if encoded:
        _require_encoder(project, encoded)
    return Plan(steps, notes)


@dataclass(frozen=True)
class NounWork:
    """The nouns that the first run hears in one prompt, and about how many prompts it encodes in all."""

    nouns: list[str]
    prompts: int


def noun_work(project: Project, *, images: int) -> NounWork:
    """What the first run encodes of nouns: nothing that the package has, or another store with this encoder."""
    from assets.text_space import shortlist_length
    from tac_pipeline.embedding.nouns import ONE_PROMPT
    from tac_pipeline.first_run.cost import expected_centers, shortlisted_prompts

    settings = project.settings
    words, templates = _unknown_nouns(project, [ONE_PROMPT]), len(settings.nouns.templates)
    if not words:
        return NounWork([], 0)
    centers = expected_centers(settings, images=images)
    length = shortlist_length(settings.vocabulary, settings.method, n_nouns=len(words), n_centers=centers)
    if length == "all":
        return NounWork(words, len(words) * (1 + templates))
    more = shortlisted_prompts(centers=centers, per_center=int(length), nouns=len(words), templates=templates)
    return NounWork(words, len(words) + more)


def _unknown_nouns(project: Project, templates: list[str]) -> list[str]:
    """The candidate nouns of which no vector is on the disk."""
    from assets.images import load_encoder
    from tac_pipeline.embedding.nouns import packaged_nouns
    from tac_pipeline.nouns import WORDNET, load_candidate_nouns
    from tac_pipeline.store.prompted_nouns import PromptedNouns

    *_, status = all_status(project, (candidate_nouns, noun_embeddings))
    nouns, encoder = project.settings.nouns, load_encoder(project)
    name = encoder.text_fingerprint
    if status.state in (State.FRESH, State.REUSABLE):
        return []
    packaged = packaged_nouns(name, templates=templates) if WORDNET in nouns.places else None
    if nouns.places == [WORDNET] and packaged is not None:
        return []
    candidates = load_candidate_nouns(noun_sources(project), exclude_offensive=nouns.exclude_offensive)
    if candidates.embeddings is not None:
        return []
    known_words = set() if packaged is None else set(packaged[0])
    words = [word for word in candidates.table["noun"] if word not in known_words]
    folder = open_store(project).prompted_nouns_folder
    known = PromptedNouns(folder, encoder=name, templates=templates, dim=encoder.dim).read(words, most=1)
    return [word for word, prompts in zip(words, known.prompts, strict=True) if not prompts]


def passed_over_notes(rules: Mapping[str, int]) -> list[str]:
    """Images that only another package can read, as sentences with the line that installs it."""
    from tac_pipeline.sources.formats import REMEDY

    return [
        f"{files:,} {rule.partition(' ')[0]} files cannot be read here: {REMEDY}"
        for rule, files in rules.items()
        if rule.endswith(f"({REMEDY})")
    ]


def _to_encode(project: Project, due: Mapping[str, Status]) -> dict[str, int]:
    """How many images and nouns a run encodes at most, by the asset's name; none for those that have their vectors."""
    from tac_pipeline.wordnet import load_nouns

    wanted: dict[str, int] = {}
    # A store that has vectors of this encoder lacks only new images' own, which the listing alone does not tell.
    embedded = due.get(image_embeddings.name)
    if embedded is not None and _reads_images(project) and not _has_vectors(project, embedded):
        listing: Any = due[image_manifest.name].carry["listing"] if image_manifest.name in due else None
        known = 0 if embedded.current is None else embedded.current.artifact.rows or 0
        wanted["images"] = known if listing is None else len(listing.images)
    if noun_embeddings.name in due and "wordnet" in project.settings.nouns.places:
        wanted["nouns"] = len(load_nouns())
    return wanted


def _has_vectors(project: Project, embedded: Status) -> bool:
    """Whether there are image vectors of the encoder that the settings name."""
    from assets.images import load_encoder

    current = embedded.current
    return current is not None and current.artifact.facts.get("encoder") == load_encoder(project).fingerprint


def _reads_images(project: Project) -> bool:
    from assets.images import open_project_source

    return open_project_source(project).reader is not None


def _require_encoder(project: Project, encoded: Mapping[str, int]) -> None:
    from assets.images import load_encoder
    from tac_pipeline.encoders.model_choice import choose_model
    from tac_pipeline.encoders.second import JoinedEncoder
    from tac_pipeline.encoders.weights import require_weights
    from tac_pipeline.first_run.space import bytes_needed, require_space

    require_weights(choose_model(*project.encoder_files))
    encoder = load_encoder(project)
    if isinstance(encoder, JoinedEncoder) and "images" in encoded:
        encoder.require_second()
    needed = bytes_needed(images=encoded.get("images", 0), nouns=encoded.get("nouns", 0), dim=encoder.dim)
    require_space(project.data_folder, needed)
