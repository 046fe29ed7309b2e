"""How learning sees the images: as the encoder gives them, or by the criterion that the settings name (`group_by`)."""

from typing import TYPE_CHECKING

from assets.engine.step import Inputs, Step
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.results.in_force import read_view

if TYPE_CHECKING:
    from tac_pipeline.method.words.criterion import View

# The asset that holds the criterion: those that read it do so only where there is one.
CRITERION = "criterion"
_SEEN = "seen"


def load_view(inputs: Inputs) -> "View | None":
    """The view of images that a criterion gives; None in a store that is not grouped by one."""
    artifact = inputs.artifacts.get(CRITERION)
    return None if artifact is None else read_view(artifact)


def seen_vectors(inputs: Inputs, asset: Step) -> FloatMatrix:
    """The image vectors of an asset as learning sees them, float32, unit rows; projected once a step."""
    view = load_view(inputs)
    if view is None:
        return inputs.vectors(asset)
    seen: dict[str, FloatMatrix] = inputs.carry.setdefault(_SEEN, {})
    if asset.name not in seen:
        seen[asset.name] = view.apply(inputs.vectors(asset))
    return seen[asset.name]
