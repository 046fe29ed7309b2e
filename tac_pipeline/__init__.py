"""Text-Aided Clustering: finds the groups in an image store, without labels, and names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tac_pipeline.estimator import TextAidedClustering as TextAidedClustering
    from tac_pipeline.estimator import embed_images as embed_images
    from tac_pipeline.estimator import embed_words as embed_words
    from tac_pipeline.finished import FinishedStore

    __version__: str

__all__ = ["TextAidedClustering", "__version__", "embed_images", "embed_words", "load"]

_OF_THE_ESTIMATOR = ("TextAidedClustering", "embed_images", "embed_words")


def load(path: str | Path) -> FinishedStore:
    """A finished store as tables, vectors and a fitted clusterer.

    Parameters
    ----------
    path : str or Path
        A store's data folder such as `data/photos`, its settings file or the folder with it, or a `published` folder.

    Raises
    ------
    StoreError
        There is no store, or it has no result yet.
    """
    from tac_pipeline.finished import load_store

    return load_store(path)


def __getattr__(name: str) -> object:
    # Imported on first use, because scikit-learn and torch take seconds to import.
    if name in _OF_THE_ESTIMATOR:
        from tac_pipeline import estimator

        return getattr(estimator, name)
    if name == "__version__":
        from tac_pipeline.version import installed_version

        return installed_version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
