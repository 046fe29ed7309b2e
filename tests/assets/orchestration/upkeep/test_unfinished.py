"""A learning that did not come to its end is taken up again: when, how often, and what is asked for."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from assets_helpers import materialize
from dagster import DagsterRun, DagsterRunStatus

from assets.graph import GROWTH
from assets.orchestration.automation import only_grows
from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.run_liveness import STORE_TAG, run_tags
from assets.orchestration.upkeep.unfinished import ATTEMPT_TAG, AUTOMATIC_TAG, MAX_ATTEMPTS, take_up
from tac_pipeline.settings.project import Project, load_project

Writer = Callable[..., Path]
HOUR = 3600.0
CANCELED, FAILURE, SUCCESS = DagsterRunStatus.CANCELED, DagsterRunStatus.FAILURE, DagsterRunStatus.SUCCESS


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def edited(vector_store: Writer) -> Project:
    """A store whose settings were edited after it was learned."""
    materialize(vector_store())
    return load_project(vector_store({"retrieval.tau": 0.02}))


def ended(
    instance: dg.DagsterInstance, status: DagsterRunStatus, *names: str, job: str = "some", **tags: str
) -> DagsterRun:
    """A run of a store that ended just now."""
    run = DagsterRun(
        job_name=job,
        run_id=str(uuid.uuid4()),
        status=status,
        asset_selection=frozenset(dg.AssetKey(["small", name]) for name in names) or None,
        tags={STORE_TAG: "small"} | tags,
    )
    instance.add_run(run)
    return run


def now() -> float:
    return datetime.now(UTC).timestamp()


def why(answer: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


@pytest.mark.parametrize("status", [CANCELED, FAILURE])
def test_a_stopped_learning_is_taken_up_at_the_next_look(
    edited: Project, instance: dg.DagsterInstance, status: DagsterRunStatus
) -> None:
    run = ended(instance, status, "cluster_heads", "assignments")
    assert "is taken up in" in why(take_up(edited, instance, now=now()))
    # The schedule looks every 15 minutes.
    request = take_up(edited, instance, now=now() + HOUR / 4)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"take up {run.run_id}"
    names = {key.path[-1] for key in request.asset_selection or ()}
    assert names > {"text_counterparts", "cluster_heads", "assignments", PUBLISHED}
    assert "training_set" not in names, "only what is due is learned"
    assert request.tags == run_tags(edited) | {AUTOMATIC_TAG: "unfinished", ATTEMPT_TAG: "1"}


@pytest.mark.parametrize(("attempt", "looks"), [("0", 1), ("1", 2), ("2", 4), ("4", 16)])
def test_every_attempt_waits_longer(edited: Project, instance: dg.DagsterInstance, attempt: str, looks: int) -> None:
    ended(instance, FAILURE, "cluster_heads", **{ATTEMPT_TAG: attempt})
    assert "is taken up in" in why(take_up(edited, instance, now=now() + (looks - 1) * HOUR / 4 - 1))
    assert isinstance(take_up(edited, instance, now=now() + looks * HOUR / 4), dg.RunRequest)


def test_it_is_given_up_after_some_attempts_until_something_changes(
    edited: Project, instance: dg.DagsterInstance
) -> None:
    last = ended(instance, FAILURE, "cluster_heads", **{ATTEMPT_TAG: str(MAX_ATTEMPTS)})
    said = why(take_up(edited, instance, now=now() + 1000 * HOUR))
    assert f"was taken up 5 times and failed each time: see run {last.run_id}" in said
    ended(instance, FAILURE, "cluster_heads")
    assert isinstance(take_up(edited, instance, now=now() + HOUR), dg.RunRequest)


@pytest.mark.parametrize(
    ("status", "names", "job"),
    [
        (SUCCESS, ["cluster_heads"], "some"),
        (SUCCESS, ["assignments", "clusters"], "some"),
        (FAILURE, ["image_store"], "observe"),
        (SUCCESS, [], "recluster"),
    ],
)
def test_nothing_is_taken_up_that_was_not_left(
    edited: Project, instance: dg.DagsterInstance, status: DagsterRunStatus, names: list[str], job: str
) -> None:
    ended(instance, status, *names, job=job)
    assert why(take_up(edited, instance, now=now() + HOUR)) == "no run was left unfinished"


@pytest.mark.parametrize("status", [CANCELED, FAILURE])
@pytest.mark.parametrize(("names", "job"), [(["corrections", "assignments"], "some"), ([], "grow")])
def test_growth_that_was_stopped_is_taken_up_without_learning(
    edited: Project, instance: dg.DagsterInstance, status: DagsterRunStatus, names: list[str], job: str
) -> None:
    run = ended(instance, status, *names, job=job)
    assert "the growth of run" in why(take_up(edited, instance, now=now()))
    request = take_up(edited, instance, now=now() + HOUR / 4)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == f"take up {run.run_id}"
    assert {key.path[-1] for key in request.asset_selection or ()} == {*(step.name for step in GROWTH), PUBLISHED}
    taken = DagsterRun("some", str(uuid.uuid4()), asset_selection=frozenset(request.asset_selection or ()))
    assert only_grows(taken.with_tags(request.tags)), "the settings of learning were edited meanwhile"
    assert isinstance(take_up(edited, instance, now=now() + HOUR), dg.RunRequest)
    ended(instance, SUCCESS, *(step.name for step in GROWTH))
    assert why(take_up(edited, instance, now=now() + HOUR)) == "no run was left unfinished"


def test_growth_is_given_up_after_some_attempts(edited: Project, instance: dg.DagsterInstance) -> None:
    ended(instance, FAILURE, "assignments", **{ATTEMPT_TAG: str(MAX_ATTEMPTS)})
    said = why(take_up(edited, instance, now=now() + 1000 * HOUR))
    assert said.startswith("the growth was taken up 5 times")
    assert "when images or settings change" in said


def test_growth_does_not_wait_for_a_learning_that_waits(edited: Project, instance: dg.DagsterInstance) -> None:
    ended(instance, FAILURE, "cluster_heads", **{ATTEMPT_TAG: "4"})
    ended(instance, CANCELED, "image_manifest", "assignments")
    request = take_up(edited, instance, now=now() + HOUR)
    assert isinstance(request, dg.RunRequest)
    assert "cluster_heads" not in {key.path[-1] for key in request.asset_selection or ()}
    # Later the learning is due as well.
    ended(instance, SUCCESS, *(step.name for step in GROWTH))
    assert "the learning of run" in why(take_up(edited, instance, now=now() + HOUR))


def test_a_weekly_learning_that_failed_is_taken_up(edited: Project, instance: dg.DagsterInstance) -> None:
    ended(instance, FAILURE, job="recluster")
    assert isinstance(take_up(edited, instance, now=now() + HOUR), dg.RunRequest)


def test_growth_after_the_failure_does_not_hide_it(edited: Project, instance: dg.DagsterInstance) -> None:
    ended(instance, FAILURE, "cluster_heads")
    ended(instance, SUCCESS, "image_manifest", "assignments")
    assert isinstance(take_up(edited, instance, now=now() + HOUR), dg.RunRequest)


def test_part_of_a_learning_that_succeeded_later_does_not_hide_the_rest(
    edited: Project, instance: dg.DagsterInstance
) -> None:
    ended(instance, FAILURE, "text_weight", "cluster_heads")
    ended(instance, SUCCESS, "text_weight")
    assert isinstance(take_up(edited, instance, now=now() + HOUR), dg.RunRequest)
    ended(instance, SUCCESS, "cluster_heads")
    assert why(take_up(edited, instance, now=now() + HOUR)) == "no run was left unfinished"


def test_it_waits_while_a_run_goes_on(edited: Project, instance: dg.DagsterInstance) -> None:
    ended(instance, FAILURE, "cluster_heads")
    ended(instance, DagsterRunStatus.STARTED, "assignments")
    assert why(take_up(edited, instance, now=now() + HOUR)) == "a run of the store is not over yet"


def test_what_somebody_finished_meanwhile_is_not_run_again(vector_store: Writer, instance: dg.DagsterInstance) -> None:
    path = vector_store()
    ended(instance, FAILURE, "cluster_heads")
    materialize(path)
    assert why(take_up(load_project(path), instance, now=now() + HOUR)) == "what a run left unfinished is done"


def test_a_source_that_is_away_is_waited_for(edited: Project, instance: dg.DagsterInstance) -> None:
    ended(instance, FAILURE, "cluster_heads")
    (edited.path.parent / "images.parquet").unlink()
    assert why(take_up(edited, instance, now=now() + HOUR)).startswith("an unfinished learning waits: ")


def test_only_runs_that_nobody_chose_the_assets_of_read_what_is_in_force() -> None:
    def run(job: str, *names: str, **tags: Any) -> DagsterRun:
        keys = frozenset(dg.AssetKey(["small", name]) for name in names)
        return DagsterRun(job_name=job, asset_selection=keys or None, tags=tags)

    growth = [step.name for step in GROWTH]
    assert only_grows(run("any", *growth, **{AUTOMATIC_TAG: "refresh"}))
    assert only_grows(run("grow"))
    assert not only_grows(run("any", *growth, "cluster_heads", **{AUTOMATIC_TAG: "refresh"}))
    assert not only_grows(run("any", "assignments")), "a person is told what to build first"
    assert not only_grows(run("recluster"))
