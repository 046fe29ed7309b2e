"""Pages about a store that `tac ui` serves beside Dagster's; other servers of Dagster have none of them."""

import os

import dagster as dg

from assets.orchestration.webserver import UI_VARIABLE
from tac_pipeline.settings.project import Project

# Results that people look at and correct in the workbench.
SHOWN_THERE = ("corrections", "assignments", "clusters", "review", "report")


def served_links(asset: str, project: Project) -> dict[str, dg.MetadataValue[str]]:
    """The links of an asset, below the address of the UI; none where no `tac ui` serves this code location."""
    if UI_VARIABLE not in os.environ or asset not in SHOWN_THERE:
        return {}
    bench = f"/workbench/{project.settings.store}/"
    page = {"page": dg.MetadataValue.url(f"{bench}report")} if asset == "report" else {}
    return {**page, "workbench": dg.MetadataValue.url(bench)}
