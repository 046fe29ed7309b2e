"""A lost training set is made again as it was: what was learned rests on it, and nobody asked to learn again."""

from assets.engine.execute import open_store
from assets.engine.step import AsItWas, Inputs, Output, Step
from tac_pipeline.errors import StoreError
from tac_pipeline.store.artifacts import Store


def training_set_as_it_was(inputs: Inputs, training_set: Step) -> AsItWas | None:
    """The training set that was in force, where it was lost and the settings are those that it was drawn for.

    Raises
    ------
    StoreError
        Groups were learned, and it is not known from which images: nobody asked to learn from others.
    """
    store, settings = open_store(inputs.project), inputs.project.settings
    current = store.current(training_set.name)
    version = training_set.version(settings)
    if current is not None and (not current.artifact.damage() or current.version != version):
        return None
    from tac_pipeline.store.keeping.training_sets import TrainingSets, require_readable, vectors_as_they_were

    sets = TrainingSets(store)
    known = sets.last() if current is None else sets.find(current.artifact.recipe)
    if known is None:
        return _of_the_groups(training_set, store)
    if known.version != version:
        return None

    def build(inputs: Inputs, out: Output) -> None:
        rows = require_readable(known)
        inputs.log(f"training_set was lost; it is made again as it was, from the {len(rows):,} images that it had")
        vectors = vectors_as_they_were(known, rows, store.shards_folder)
        out.write({**rows.to_dict(), "embedding": vectors}, encoder=known.encoder)
        known.copy_beside(out.folder)

    return AsItWas(known.recipe, known.record, build)


def _of_the_groups(training_set: Step, store: Store) -> AsItWas | None:
    """The artifact that the groups in force were learned from, in a store that does not say which images it had."""
    from tac_pipeline.store.ledger import Ledger

    if not Ledger(store.ledger_folder).entries():
        return None
    ids = store.current("cluster_ids")
    content = None if ids is None else ids.artifact.record["inputs"][training_set.name]
    artifact = None if content is None else store.find_content(training_set.name, content)
    if artifact is None:
        raise _not_known()
    return AsItWas(artifact.recipe, {}, _cannot_build)


def _cannot_build(inputs: Inputs, out: Output) -> None:
    raise _not_known()


def _not_known() -> StoreError:
    return StoreError(
        "the training set that the groups were learned from is lost, and this store does not say which images it had: "
        "it cannot be made again as it was. Restore it from a backup, or learn from the images that the store holds "
        "now, with other groups as a likely result: `tac run --recluster`."
    )
