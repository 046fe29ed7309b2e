"""Text-Aided Clustering: finds the groups in an image store, without labels, and names them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tac_pipeline.estimator import TextAidedClustering as TextAidedClustering

__all__ = ["TextAidedClustering", "__version__"]

try:
    __version__ = version("tac-pipeline")
except PackageNotFoundError:
    # Run from a checkout that was never installed.
    __version__ = "0+unknown"


def __getattr__(name: str) -> object:
    # Imported on first use, because scikit-learn and torch take seconds to import.
    if name == "TextAidedClustering":
        from tac_pipeline.estimator import TextAidedClustering

        return TextAidedClustering
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
