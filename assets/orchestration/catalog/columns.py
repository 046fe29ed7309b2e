"""The columns of an asset, and which columns of other assets they are made of."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.engine.step import Step
from assets.orchestration.metadata import asset_key, column_schema
from assets.results import assignments, clusters
from tac_pipeline.settings.project import Project
from tac_pipeline.store.parquet import TableSchema
from tac_pipeline.store.schemas import PUBLISHED_ASSIGNMENTS


def columns_of(step: Step, project: Project) -> dict[str, Any]:
    """The metadata about the columns of a step's table."""
    sources = step.column_sources(project.settings)
    made_of = {column: [(dep.name, name) for dep, name in found] for column, found in sources.items()}
    return _metadata(step.schema, made_of, project)


def published_columns(project: Project) -> dict[str, Any]:
    """The metadata about the columns of the published assignments, which have the clusters' names."""
    names = [column.name for column in PUBLISHED_ASSIGNMENTS.columns]
    made_of = {name: [(assignments.name, name)] for name in names} | {"cluster_name": [(clusters.name, "name")]}
    return _metadata(PUBLISHED_ASSIGNMENTS, made_of, project)


def _metadata(
    schema: TableSchema, made_of: Mapping[str, Sequence[tuple[str, str]]], project: Project
) -> dict[str, Any]:
    lineage = {
        column: [dg.TableColumnDep(asset_key(asset, project), name) for asset, name in found]
        for column, found in made_of.items()
    }
    return {
        "dagster/column_schema": column_schema(schema, made_of),
        **({"dagster/column_lineage": dg.TableColumnLineage(lineage)} if lineage else {}),
    }
