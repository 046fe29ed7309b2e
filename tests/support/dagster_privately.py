"""What tests take of Dagster's private modules, in one place: to do what its own commands and runs do."""

from dagster._cli import create_dagster_cli as create_dagster_cli
from dagster._cli.utils import get_possibly_temporary_instance_for_cli as get_possibly_temporary_instance_for_cli
from dagster._core.events import AssetMaterializationPlannedData as AssetMaterializationPlannedData
from dagster._core.workspace.autodiscovery import (
    loadable_targets_from_loaded_module as loadable_targets_from_loaded_module,
)
from dagster._core.workspace.config_schema import WORKSPACE_CONFIG_SCHEMA as WORKSPACE_CONFIG_SCHEMA
from dagster._daemon.cli import create_dagster_daemon_cli as create_dagster_daemon_cli
