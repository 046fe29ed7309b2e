"""Text-Aided Clustering: finds the groups in an image store, without labels, and names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tac_pipeline.estimator import TextAidedClustering as TextAidedClustering

    __version__: str

__all__ = ["TextAidedClustering", "__version__"]


def __getattr__(name: str) -> object:
    # Imported on first use, because scikit-learn and torch take seconds to import.
    if name == "TextAidedClustering":
        from tac_pipeline.estimator import TextAidedClustering

        return TextAidedClustering
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    # Looked up on first use: importlib.metadata brings the whole email package.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tac-pipeline")
    except PackageNotFoundError:
        # Run from a checkout that was never installed.
        return "0+unknown"
