"""The corrections file as steps read it: once a step, and only what they apply enters their recipes."""

from assets.step import Inputs
from tac_pipeline.corrections import Corrections, load_corrections


def corrections_of(inputs: Inputs) -> Corrections:
    """What people corrected, read once a step."""
    if "corrections" not in inputs.carry:
        inputs.carry["corrections"] = load_corrections(inputs.project.corrections_file)
    found: Corrections = inputs.carry["corrections"]
    return found
