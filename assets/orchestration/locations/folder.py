"""Every store of a folder of settings files in one code location: a Dagster repository for each.

One process then loads what fifty would load apart (docs/decisions/0161). A run loads its own store alone.
"""

import logging
import os
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path

import dagster as dg

from assets.orchestration.build import build_definitions
from tac_pipeline.errors import SettingsError, TacError, first_few
from tac_pipeline.settings.folders import settings_files

# Narrows a folder to one store, for commands of Dagster's that take one repository alone.
STORE_VARIABLE = "TAC_STORE"


def stores_in(
    folder: str | Path, *, owners: Iterable[str] = (), images_within: timedelta | None = None
) -> tuple[Callable[[str], dg.RepositoryDefinition], Callable[[], list[str]]]:
    """What the module of a code location assigns to ``__getattr__, __dir__``: a repository for each settings file.

    A settings file that cannot be used takes its own store away, and no other: see `stand_in`.

    Parameters
    ----------
    folder : path
    owners, images_within
        Of all stores: see build_definitions.

    Raises
    ------
    SettingsError
        No file of the folder can be a store's, or two would be the same one.
    """
    folder, kept = Path(folder).expanduser().absolute(), tuple(owners)
    files = _chosen(settings_files(folder), folder)

    @cache
    def repository(name: str) -> dg.RepositoryDefinition:
        if name not in files:
            raise AttributeError(name)
        try:
            found = build_definitions(files[name], owners=kept, images_within=images_within, beside=len(files) - 1)
        except TacError as error:
            return stand_in(name, files[name], error)
        return dg.create_repository_using_definitions_args(
            name,
            assets=found.assets,
            schedules=found.schedules,
            sensors=found.sensors,
            jobs=found.jobs,
            resources=found.resources,
            executor=found.executor,
            asset_checks=found.asset_checks,
        )

    return repository, lambda: list(files)


def _chosen(files: dict[str, Path], folder: Path) -> dict[str, Path]:
    """The files, or the one of the store that the environment names."""
    if not files:
        raise SettingsError(f"no settings file is in {folder}: `tac init SOURCE --store NAME` writes one")
    wanted = os.environ.get(STORE_VARIABLE)
    if not wanted:
        return files
    found = {name: path for name, path in files.items() if wanted in (name, path.stem, path.name)}
    if not found:
        raise SettingsError(
            f"${STORE_VARIABLE} must be the name of a settings file in {folder}, such as {first_few(list(files), 3)}; "
            f"got {wanted!r}"
        )
    return found


def stand_in(name: str, path: Path, error: TacError) -> dg.RepositoryDefinition:
    """The repository of a store that has a settings file which cannot be used: one asset that says so.

    Its schedules and sensors stop until the file is mended and the location reloaded, as if it had a location to
    itself.
    """
    logging.getLogger("dagster").error("%s is not loaded: %s", path, error)
    asset = dg.AssetSpec(
        [name, "settings"],
        description=f"**{path.name} cannot be used, and its store is not loaded.** {error}\n\nMend the file and "
        "reload the definitions.",
        kinds={"yaml"},
        group_name="settings",
    )
    return dg.create_repository_using_definitions_args(name, assets=[asset])
