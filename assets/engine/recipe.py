"""The recipe of a step: what it is made from, and whether an artifact with that recipe may be used again."""

from assets.engine.by_method import method_values
from assets.engine.step import Inputs, Step, Values
from tac_pipeline.digest import digest
from tac_pipeline.store.artifacts import Artifact


def resolve_recipe(asset: Step, inputs: Inputs) -> str:
    """Compute the step's values into inputs.values, and return the recipe."""
    inputs.values = _resolve(asset, inputs)
    return digest([asset.name, asset.code_version, inputs.values, inputs.contents(asset)])


def _resolve(asset: Step, inputs: Inputs) -> Values:
    settings = inputs.project.settings
    if asset.by_method:
        return method_values(asset, inputs)
    if asset.resolve is not None:
        return asset.resolve(inputs, **asset.sections(settings))
    return asset.written(settings)


def usable(artifact: Artifact | None) -> Artifact | None:
    """The artifact if it may be used again: its files are whole and it does not ask for a retry."""
    if artifact is None or artifact.damage() or artifact.facts.get("try_again"):
        return None
    return artifact
