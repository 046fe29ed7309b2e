"""What Dagster's catalog shows of a store's assets, beside their results."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.graph import STEPS
from assets.orchestration.build import build_definitions
from assets.orchestration.metadata import asset_key
from assets.orchestration.webserver import UI_VARIABLE
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]


def specs(path: Path, **about: Any) -> dict[str, dg.AssetSpec]:
    """What is declared of each asset, by its name."""
    return {spec.key.path[-1]: spec for spec in build_definitions(path, **about).resolve_all_asset_specs()}


def test_owners_and_expectations_are_shown_only_where_they_are_given(vector_store: Writer) -> None:
    path = vector_store()
    plain = specs(path)
    assert {tuple(spec.owners) for spec in plain.values()} == {()}
    assert plain["image_manifest"].freshness_policy is None
    told = specs(path, owners=["team:vision", "ann@example.org"], images_within=timedelta(days=1))
    assert {tuple(spec.owners) for name, spec in told.items() if name != "image_store"} == {
        ("team:vision", "ann@example.org")
    }
    assert told["image_manifest"].freshness_policy == dg.FreshnessPolicy.time_window(timedelta(days=1))
    with pytest.raises(SettingsError, match="images_within must be at least a minute; got 0:00:05"):
        build_definitions(path, images_within=timedelta(seconds=5))


def test_published_is_expected_once_between_two_learnings(vector_store: Writer) -> None:
    policies = {
        name: spec.freshness_policy
        for name, spec in specs(vector_store({"schedule.timezone": "Europe/Berlin"})).items()
        if spec.freshness_policy is not None
    }
    weekly = dg.FreshnessPolicy.cron("0 3 * * 0", lower_bound_delta=timedelta(days=7), timezone="Europe/Berlin")
    assert policies == {"published": weekly}
    assert specs(vector_store({"schedule.recluster": None}))["published"].freshness_policy is None


def test_every_asset_names_its_code_and_its_settings(vector_store: Writer) -> None:
    path, code = vector_store(), {}
    for name, spec in specs(path).items():
        own, settings = spec.metadata["dagster/code_references"].code_references
        assert settings.file_path == str(path)
        code[name] = (Path(own.file_path).name, Path(own.file_path).read_text().splitlines()[own.line_number - 1 :])
    for step in STEPS:
        file, lines = code[step.name]
        # The first line of a decorated function is that of its decorator.
        assert any(line.startswith(f"def {step.name}(") for line in lines[:30]), (step.name, file)
    assert code["published"][0] == "publishing.py" and code["image_store"][0] == "embedded.py"


def test_pages_are_linked_only_where_a_ui_serves_them(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path = vector_store()
    monkeypatch.delenv(UI_VARIABLE, raising=False)
    assert not {"page", "workbench"} & specs(path)["report"].metadata.keys()
    monkeypatch.setenv(UI_VARIABLE, "1")
    served = specs(path)
    assert served["report"].metadata["page"].value == "/workbench/small/report"
    assert served["clusters"].metadata["workbench"].value == "/workbench/small/"
    assert not {"page", "workbench"} & served["training_set"].metadata.keys()


def test_descriptions_render_as_text(vector_store: Writer) -> None:
    """Markdown takes what four spaces begin for a block of code."""
    found = build_definitions(vector_store())
    texts = [spec.description for spec in found.resolve_all_asset_specs()]
    texts += [one.description for one in (*(found.jobs or ()), *(found.sensors or ()), *(found.schedules or ()))]
    texts += [spec.description for check in found.asset_checks or () for spec in check.check_specs]
    assert len(texts) > 50 and all(texts)
    assert [line for text in texts for line in str(text).splitlines() if line.startswith(" ")] == []


def test_columns_say_what_they_are_made_of(vector_store: Writer) -> None:
    path = vector_store()
    project, found = load_project(path), specs(path)
    schemas = {
        name: {column.name: column for column in spec.metadata["dagster/column_schema"].columns}
        for name, spec in found.items()
        if "dagster/column_schema" in spec.metadata
    }
    lineages = {
        name: spec.metadata["dagster/column_lineage"].deps_by_column
        for name, spec in found.items()
        if "dagster/column_lineage" in spec.metadata
    }
    for name, by_column in lineages.items():
        above = {dep.asset_key for dep in found[name].deps}
        for column, sources in by_column.items():
            assert column in schemas[name]
            for source in sources:
                assert source.asset_key in above, (name, column)
                assert source.column_name in schemas[source.asset_key.path[-1]], (name, column)
    (cluster,) = lineages["assignments"]["cluster_id"]
    assert (cluster.asset_key, cluster.column_name) == (asset_key("corrections", project), "cluster_id")
    assert schemas["published"]["cluster_name"].description == (
        "the cluster's name; null when it has none; from clusters.name"
    )
    assert "confidence" not in lineages["assignments"]
    assert len(lineages) > 20
