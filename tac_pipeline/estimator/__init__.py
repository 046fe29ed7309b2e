"""The method for users with vectors in memory who need no pipeline: a scikit-learn clusterer, and images to vectors.

    clusterer.py   the class, as scikit-learn wants it    fitting.py    the method's pieces, asked for what fit keeps
    parameters.py  what parameters may be                 regroup.py    merges and names after the fit
    rows.py        vectors in any usual form              saving.py     its file
    running.py     threads and progress bars              pictures.py   map, contact sheet, the table in a notebook
    encoding.py    images and words to vectors

What must stay out: any step of its own. It calls the same functions as the Dagster assets.
"""

from __future__ import annotations

from tac_pipeline.estimator.clusterer import TextAidedClustering
from tac_pipeline.estimator.encoding import embed_images, embed_words

__all__ = ["TextAidedClustering", "embed_images", "embed_words"]
