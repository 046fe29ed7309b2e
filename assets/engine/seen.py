"""How learning sees the images: as the encoder gives them, or by the criterion that the settings name (`group_by`)."""

from typing import TYPE_CHECKING

import numpy as np

from assets.engine.step import Inputs, Step
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.store.schemas import CRITERION_VIEW

if TYPE_CHECKING:
    from tac_pipeline.method.words.criterion import View

# The asset that holds the criterion: those that read it do so only where there is one.
CRITERION = "criterion"
_SEEN = "seen"


def load_view(inputs: Inputs) -> "View | None":
    """The view of images that a criterion gives; None in a store that is not grouped by one."""
    from tac_pipeline.method.words.criterion import View

    artifact = inputs.artifacts.get(CRITERION)
    if artifact is None:
        return None
    table = artifact.frame(CRITERION_VIEW)
    weights = np.stack(table["weights"].to_list()).astype(np.float32)
    return View(weights, table["center"].to_numpy())


def seen_vectors(inputs: Inputs, asset: Step) -> FloatMatrix:
    """The image vectors of an asset as learning sees them, float32, unit rows; projected once a step."""
    view = load_view(inputs)
    if view is None:
        return inputs.vectors(asset)
    seen: dict[str, FloatMatrix] = inputs.carry.setdefault(_SEEN, {})
    if asset.name not in seen:
        seen[asset.name] = view.apply(inputs.vectors(asset))
    return seen[asset.name]
