"""The current artifacts that a command reads."""

import polars as pl

from assets.clustering import cluster_ids
from assets.engine.execute import open_store
from assets.engine.required import behind, require_current
from assets.engine.step import Inputs, Step
from assets.results import clusters
from assets.text_space import criterion
from tac_pipeline.settings.project import Project


def read_current(reader: str, project: Project, *steps: Step) -> Inputs:
    """The current artifacts of steps, checked to be whole and made for these settings and from each other.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
    """
    return Inputs(project, require_current(reader, steps, project, open_store(project), as_of=cluster_ids))


def with_criterion(project: Project, *steps: Step) -> tuple[Step, ...]:
    """Steps, and the criterion if the groups in force were learned by one."""
    return (*steps, *behind(cluster_ids, [criterion], open_store(project)))


def cluster_names(inputs: Inputs) -> pl.DataFrame:
    """Columns cluster_id, cluster_name."""
    return inputs.table(clusters).select("cluster_id", cluster_name="name")
