"""Which columns of other assets the columns of an asset are made of."""

import dagster as dg

from assets.engine.step import Step
from assets.orchestration.metadata import asset_key
from assets.results import assignments, clusters
from tac_pipeline.settings.project import Project
from tac_pipeline.store.schemas import PUBLISHED_ASSIGNMENTS


def column_lineage(step: Step, project: Project) -> dg.TableColumnLineage | None:
    """The lineage of a step's columns; None where none is made of another."""
    sources = step.column_sources(project.settings)
    if not sources:
        return None
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key(dep.name, project), name) for dep, name in found]
            for column, found in sources.items()
        }
    )


def published_lineage(project: Project) -> dg.TableColumnLineage:
    """The lineage of the published assignments: their columns, and the clusters' names."""
    names = [column.name for column in PUBLISHED_ASSIGNMENTS.columns]
    sources = {name: (assignments.name, name) for name in names} | {"cluster_name": (clusters.name, "name")}
    return dg.TableColumnLineage(
        {column: [dg.TableColumnDep(asset_key(asset, project), name)] for column, (asset, name) in sources.items()}
    )
