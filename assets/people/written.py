"""What people wrote and did: the corrections file, and the log of actions on top, checked against every id there is."""

from collections.abc import Sequence
from typing import Any

from tac_pipeline.digest import file_sha256
from tac_pipeline.results.corrections.acting import (
    FILE,
    edit_of,
    file_after,
    highest_made,
    replay,
    with_actions,
)
from tac_pipeline.results.corrections.written import Corrections, load_corrections, require_known
from tac_pipeline.results.in_force import next_id_elsewhere
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Store, open_store
from tac_pipeline.store.keeping.action_log import Action, ActionLog
from tac_pipeline.store.ledger import Ledger

# The file of corrections, which Dagster observes.
CORRECTIONS_FILE = "corrections_file"
# The asset that gives the ids.
CLUSTER_IDS = "cluster_ids"


def corrections_with(project: Project, actions: Sequence[Action]) -> Corrections:
    """What the corrections file and a log of actions come to; raises as require_corrections.

    An edit of the file that the log has not read yet counts as its last action.
    """
    written, known = load_corrections(project.corrections_file), file_after(actions)
    history = replay(actions)
    if known is None:
        return with_actions(written, history.done) if actions else written
    edit = edit_of(known, written)
    last = [Action(len(actions) + 1, 0.0, "", FILE, edit)] if edit else []
    return with_actions(Corrections(), [*history.base, *history.done, *last])


def unread_edit(project: Project, actions: Sequence[Action]) -> dict[str, Any] | None:
    """What an action of kind `file` must say, so that the log has all of the corrections file; None: it has.

    What the file said when the log began is its base: below all actions, and never undone.
    """
    written, known = load_corrections(project.corrections_file), file_after(actions)
    if known is None:
        return {"before": {}, "after": {}, **edit_of(Corrections(), written), "base": True}
    return edit_of(known, written) or None


def require_corrections(project: Project) -> Corrections:
    """The corrections file, and what people did in the workbench on top, checked against every id ever given.

    Raises
    ------
    SettingsError
        The file cannot be read, or says what cannot be.
    InputError
        It names an id that no cluster ever had, or cannot go together with what people did.
    ArtifactDamaged
        The log of what people did.
    """
    found = corrections_with(project, ActionLog(open_store(project).ledger_folder).read())
    end = _end_of_ids(project, highest=max(found.ids)) if found.ids else None
    if end is not None:
        require_known(found, next_id=end, path=project.corrections_file)
    return found


def _end_of_ids(project: Project, *, highest: int) -> int | None:
    """Higher than every id that was given; before there are any, than those to come. None if that is not known."""
    store, wanted = open_store(project), project.settings.clusters.count
    current = store.current(CLUSTER_IDS)
    end = 0 if current is None else int(current.artifact.facts.get("next_id", 0))
    if highest >= end:
        # People may have gone back to ids from before others were given.
        end = max(end, _next_id(store))
    return end or (wanted if isinstance(wanted, int) else None)


def _next_id(store: Store) -> int:
    return max([next_id_elsewhere(store), *(entry.next_id for entry in Ledger(store.ledger_folder).entries())])


def next_free_id(project: Project, actions: Sequence[Action]) -> int:
    """An id that no group has or ever had, found by learning or made by hand; call it with the log's lock held."""
    return max(_next_id(open_store(project)), lowest_free_id(project, actions))


def lowest_free_id(project: Project, actions: Sequence[Action]) -> int:
    """Higher than the ids of all groups that were made by hand."""
    return 1 + max([highest_made(actions), *load_corrections(project.corrections_file).groups])


def observed_corrections(project: Project) -> str:
    """A text that changes when the corrections file must be read again: a digest of its bytes."""
    path = project.corrections_file
    try:
        return "none" if path is None else file_sha256(path)
    except OSError:
        # The step says what is wrong with it.
        return "cannot be read"
