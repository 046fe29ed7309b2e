"""What only the people who run a code location know of its stores: who owns them, and when new images are expected.

It is given to `build_definitions` and not in the settings file, because nothing of it changes what is computed.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import dagster as dg

from assets.engine.step import Step
from assets.images import image_manifest
from assets.orchestration.catalog.code import code_references
from assets.orchestration.catalog.columns import columns_of
from assets.orchestration.catalog.links import served_links
from assets.orchestration.dagster_internals import shortest_gap
from assets.orchestration.publishing import PUBLISHED
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.project import Project

# Dagster takes no shorter window.
SHORTEST_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True)
class About:
    """What is known of the stores of a code location.

    Parameters
    ----------
    owners : tuple of str
        E-mail addresses, or teams such as team:vision.
    images_within : timedelta, optional
        New images are expected so often; without any for longer, image_manifest fails its freshness policy.
    told : str, optional
        What is wrong with the Dagster instance.
    """

    owners: tuple[str, ...] = ()
    images_within: timedelta | None = None
    told: str | None = None

    def __post_init__(self) -> None:
        if self.images_within is not None and self.images_within < SHORTEST_WINDOW:
            raise SettingsError(f"images_within must be at least a minute; got {self.images_within}")

    @property
    def warning(self) -> dict[str, dg.MetadataValue[str]]:
        """What is shown with the first and the last asset of a store."""
        return {} if self.told is None else {"another instance": dg.MetadataValue.text(self.told)}


def shown_of(step: Step, project: Project) -> dict[str, Any]:
    """The metadata of a step's asset: it is there to be looked at, and decides nothing."""
    return {
        **columns_of(step, project),
        **code_references(step.build, project),
        **served_links(step.name, project),
    }


def freshness_of(asset: str, project: Project, about: About) -> dg.FreshnessPolicy | None:
    """When an asset must have been made at the latest; None where nothing says so.

    Dagster's policies count materializations. A look that finds nothing makes none, so `schedule.observe` promises
    nothing about image_manifest: only people know whether a quiet store is in order. Learning again ends with
    `published` each time.
    """
    schedule = project.settings.schedule
    if asset == image_manifest.name and about.images_within is not None:
        return dg.FreshnessPolicy.time_window(fail_window=about.images_within)
    if asset == PUBLISHED and schedule.recluster is not None:
        return _made_between_ticks(schedule.recluster, schedule.timezone)
    return None


# Dagster looks at a thousand ticks of the schedule for each policy.
@cache
def _made_between_ticks(cron: str, timezone: str) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.cron(cron, lower_bound_delta=shortest_gap(cron), timezone=timezone)
