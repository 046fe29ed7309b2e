"""The graph: its edges, its groups, and the selection of steps by name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from assets.graph import GROWTH, LEARNING, STEPS, ancestors, descendants, find, select
from assets.orchestration.build import build_definitions
from tac_pipeline.errors import InputError
from tac_pipeline.settings.reading import parse_settings

EDGES = {
    "image_manifest": set(),
    "image_labels": {"image_manifest"},
    "image_splits": {"image_manifest"},
    "image_embeddings": {"image_manifest"},
    "known_labels": set(),
    "training_set": {"image_embeddings"},
    "lessons": {"training_set"},
    "candidate_nouns": set(),
    "noun_embeddings": {"candidate_nouns"},
    "criterion": set(),
    "cluster_count": {"training_set"},
    "semantic_centers": {"training_set", "cluster_count"},
    "noun_shortlist": {"semantic_centers", "noun_embeddings"},
    "noun_vocabulary": {"semantic_centers", "noun_shortlist"},
    "text_counterparts": {"training_set", "noun_vocabulary"},
    "whitening": {"training_set"},
    "image_neighbors": {"training_set", "whitening", "cluster_count"},
    "text_weight": {"training_set", "noun_vocabulary", "text_counterparts", "image_neighbors", "cluster_count"},
    "text_neighbors": {"training_set", "text_counterparts", "text_weight", "cluster_count"},
    "image_kmeans": {"training_set", "cluster_count"},
    "training_free_clusters": {
        "training_set",
        "text_counterparts",
        "noun_shortlist",
        "image_neighbors",
        "text_weight",
        "cluster_count",
    },
    "cluster_heads": {
        "training_set",
        "text_counterparts",
        "image_neighbors",
        "text_neighbors",
        "image_kmeans",
        "training_free_clusters",
        "text_weight",
        "cluster_count",
    },
    "cluster_ids": {"cluster_heads", "training_set"},
    "corrections": {"cluster_ids", "cluster_heads", "training_set"},
    "assignments": {"image_embeddings", "cluster_heads", "corrections"},
    "clusters": {
        "assignments",
        "corrections",
        "training_set",
        "candidate_nouns",
        "noun_embeddings",
        "noun_shortlist",
    },
    "cluster_tree": {"clusters", "corrections", "assignments", "training_set", "candidate_nouns", "noun_vocabulary"},
    "evaluation": {
        "image_labels",
        "image_kmeans",
        "training_free_clusters",
        "assignments",
        "clusters",
        "training_set",
    },
    "map_layout": {"training_set"},
    "image_map": {"image_embeddings", "map_layout"},
    "review": {"assignments", "image_embeddings", "training_set", "noun_vocabulary"},
    "report": {"clusters", "cluster_tree", "assignments", "review", "image_map", "image_embeddings", "image_manifest"},
}

# What is read in a store that is grouped by a criterion.
BY_CRITERION = {
    "criterion": {"training_set", "noun_embeddings"},
    **{
        reader: {"criterion"}
        for reader in (
            "cluster_count",
            "semantic_centers",
            "noun_shortlist",
            "text_counterparts",
            "whitening",
            "image_neighbors",
            "text_weight",
            "text_neighbors",
            "image_kmeans",
            "training_free_clusters",
            "cluster_heads",
            "cluster_ids",
            "corrections",
            "assignments",
            "clusters",
            "cluster_tree",
            "review",
        )
    },
}

GROUPS = {
    "images": {"image_manifest", "image_labels", "image_splits", "image_embeddings", "known_labels", "training_set"},
    "nouns": {"candidate_nouns", "noun_embeddings"},
    "text space": {
        "criterion",
        "cluster_count",
        "semantic_centers",
        "noun_shortlist",
        "noun_vocabulary",
        "text_counterparts",
    },
    "neighbors": {"whitening", "image_neighbors", "text_weight", "text_neighbors", "map_layout"},
    "clustering": {"lessons", "image_kmeans", "training_free_clusters", "cluster_heads", "cluster_ids"},
    "results": {
        "corrections",
        "assignments",
        "clusters",
        "cluster_tree",
        "evaluation",
        "image_map",
        "review",
        "report",
    },
}


def test_the_edges_are_the_documented_ones() -> None:
    assert {step.name: {above.name for above in step.upstream} for step in STEPS} == EDGES


def test_known_classes_are_read_only_where_the_settings_name_some() -> None:
    readers = {"training_set", "training_free_clusters", "cluster_heads", "cluster_ids", "corrections"}
    assert {step.name for step in STEPS if find("known_labels") in step.optional} == readers


def test_splits_are_read_only_where_the_settings_name_one() -> None:
    settings = parse_settings("store: photos\nimages: {source: pictures}\nclusters: {count: 10}\n", name="tac.yaml")
    splits = find("image_splits")
    assert {step.name for step in STEPS if splits in step.optional} == {"training_set", "evaluation"}
    assert [step.name for step in STEPS if splits in step.reads(settings)] == []


def test_a_criterion_is_read_only_where_there_is_one() -> None:
    settings = parse_settings("store: photos\nimages: {source: pictures}\nclusters: {count: 10}\n", name="tac.yaml")
    assert [step.name for step in STEPS if step.reads(settings) != (*step.upstream, *step.deps_if_any)] == []
    by_style = settings.model_copy(update={"group_by": "style"})
    taught = {step.name: {above.name for above in step.deps_if_any} for step in STEPS}
    found = {
        step.name: {above.name for above in step.reads(by_style)} - EDGES[step.name] - taught[step.name]
        for step in STEPS
    }
    assert {name: above for name, above in found.items() if above} == BY_CRITERION
    assert "criterion" in [step.name for step in select("+image_neighbors", by_style)]
    assert "criterion" not in [step.name for step in select("+image_neighbors", settings)]
    assert "image_neighbors" in [step.name for step in select("criterion+", by_style)]


def test_lessons_are_in_no_version_of_their_readers() -> None:
    readers = {step for step in STEPS if find("lessons") in step.deps_if_any}
    assert {step.name for step in readers} == {"cluster_count", "training_free_clusters", "cluster_ids", "corrections"}
    settings = parse_settings("store: photos\nimages: {source: pictures}\nclusters: {count: 10}\n", name="tac.yaml")
    silent = settings.model_copy(update={"learn_from_corrections": False})
    assert {step.name for step in STEPS if step.version(settings) != step.version(silent)} == {"lessons"}


def test_the_groups_are_the_documented_ones() -> None:
    assert {group: {step.name for step in STEPS if step.group == group} for group in GROUPS} == GROUPS


def test_the_order_runs_every_step_after_all_that_it_reads() -> None:
    names = [step.name for step in STEPS]
    assert all(names.index(above) < names.index(name) for name, edges in EDGES.items() for above in edges)


def test_labels_never_touch_the_chain() -> None:
    assert [step.name for step in descendants([find("image_labels")])] == ["image_labels", "evaluation"]


def test_growth_relearns_nothing() -> None:
    assert {step.name for step in GROWTH} == {
        "image_manifest",
        "image_labels",
        "image_splits",
        "image_embeddings",
        "corrections",
        "assignments",
        "clusters",
        "cluster_tree",
        "evaluation",
        "image_map",
        "review",
        "report",
    }
    assert {*GROWTH, *LEARNING} == set(STEPS)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("text_counterparts", ["text_counterparts"]),
        ("evaluation, image_manifest", ["image_manifest", "evaluation"]),
        (
            "cluster_ids+",
            ["cluster_ids", "corrections", "assignments", "clusters", "cluster_tree", "evaluation", "review", "report"],
        ),
        (
            "+image_neighbors",
            [
                "image_manifest",
                "image_splits",
                "image_embeddings",
                "known_labels",
                "training_set",
                "lessons",
                "candidate_nouns",
                "noun_embeddings",
                "criterion",
                "cluster_count",
                "whitening",
                "image_neighbors",
            ],
        ),
        ("+candidate_nouns", ["candidate_nouns"]),
        ("*", list(EDGES)),
    ],
)
def test_selection(text: str, names: list[str]) -> None:
    assert [step.name for step in select(text)] == names


def test_everything_below_and_above() -> None:
    roots = [find("image_manifest"), find("candidate_nouns")]
    assert [step.name for step in descendants(roots)] == list(EDGES)
    assert {step.name for step in ancestors([find("cluster_heads")])} == set(EDGES) - {
        "image_labels",
        "cluster_heads",
        "cluster_ids",
        "corrections",
        "assignments",
        "clusters",
        "cluster_tree",
        "evaluation",
        "map_layout",
        "image_map",
        "review",
        "report",
    } | {"cluster_heads"}


@pytest.mark.parametrize("text", ["assignment", "text_counterpart+", "", "+", "clusters,,evaluation"])
def test_unknown_names_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="there is no asset"):
        select(text)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(InputError, match=r"did you mean assignments\?"):
        select("assignment")


def test_the_definitions_load_as_a_repository(vector_store: Callable[..., Path]) -> None:
    repository = build_definitions(vector_store()).get_repository_def()
    assert {job.name for job in repository.get_all_jobs()} >= {
        "observe",
        "grow",
        "recluster",
        "set_settings",
        "publish",
        "rollback",
    }
    assert {schedule.name for schedule in repository.schedule_defs} == {"observe_on_schedule", "recluster_on_schedule"}
    assert {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs} == {
        "refresh": "RUNNING",
        "unfinished": "RUNNING",
        "dead_runs": "RUNNING",
        "history": "RUNNING",
    }


def test_descriptions_are_prose_without_the_indentation_of_the_code() -> None:
    """Markdown shows indented lines as code, with a scroll bar."""
    assert all(step.description for step in STEPS)
    assert [step.name for step in STEPS if "\n    " in step.description] == []
