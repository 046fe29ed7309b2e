"""The scikit-learn clusterer. What must stay out: any step of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from tac_pipeline.arrays import FloatMatrix, FloatVector, IntVector, require_same_width
from tac_pipeline.errors import InputError
from tac_pipeline.estimator.fitting import Found, count_clusters, find_groups, find_names, no_names
from tac_pipeline.estimator.parameters import (
    choices_of,
    require_alone,
    require_known,
    require_known_count,
    require_nouns,
    require_parameters,
    seed_of,
)
from tac_pipeline.estimator.rows import has_named_columns, unit_rows_of
from tac_pipeline.estimator.running import bars, threads
from tac_pipeline.method.clusters.evaluation import score as compare
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.results.assigning import group_ceilings
from tac_pipeline.results.corrections.merging import sum_groups

if TYPE_CHECKING:
    from PIL.Image import Image


class TextAidedClustering(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """Cluster image embeddings with the help of nouns, and name the clusters.

    Only the directions of the vectors count, not their lengths: vectors of one space are compared by their cosine.

    Parameters
    ----------
    n_clusters : int or {"auto", "fine", "coarse"}
        K, from 2 to the number of images. auto and fine find it from the vectors; coarse too, at most half of that.
    min_clusters, max_clusters : int
        The fewest and the most clusters that may be found.
    method : {"robust", "published", "trained"}
        robust: groups by image and text in whitened spaces, without training; published: the paper's recipe;
        trained: heads trained and joined.
    tau : float > 0, optional
        Softmax temperature of the retrieval; None is the method's: a rule that follows the vectors, or 0.005 as
        published.
    nouns_per_center : int
        Nouns that each semantic center may keep.
    images_per_center : int
        One semantic center for this many images, or three per cluster when clusters are smaller than that.
    n_semantic_centers : int, optional
        The number of semantic centers, instead of the rule of images_per_center.
    text_weight : float >= 0, optional
        Weight of the text, not in the published method; the image has 1. None is the method's.
    n_neighbors : int, optional
        Neighbors of each image, at most the number of images less one; None is the method's value.
    n_members : int, optional
        Heads that the trained method joins; None is chosen by the number of images.
    epochs, batch_size, temperature : optional
        Of the training; None is the method's value for the numbers of images and clusters.
    balance_weight : float
        Weight of the term that keeps clusters equally large.
    learning_rate : float
        Of Adam.
    device : str
        Where torch trains: cpu, cuda, mps.
    random_state : int, RandomState or None
        An int gives what the pipeline gives for that seed.
    n_jobs : int, optional
        Threads; None leaves them as they are, -1 is one for each core.
    verbose : bool or int
        Whether long loops show a bar.

    Attributes
    ----------
    labels_ : int64 (n_images,)
        The cluster of each fitted image.
    n_clusters_ : int
        The number of clusters: as asked for, as found, or as merges have left it.
    cluster_names_ : list of str or None, n_clusters_ long
        The name of each cluster, no two alike; None for a cluster without members, and where no nouns were given.
    cluster_words_ : list of ClusterName
        The same with alternatives, weights and confidence.
    cluster_centers_ : float32 (n_clusters_, n_features_in_), unit rows
        The unit mean of each cluster's images; a zero row where it has none.
    count_estimate_ : CountEstimate or None
        Why n_clusters_ is what it is, where it was found.
    image_embeddings_ : float32 (n_images, n_features_in_), unit rows
        What was fitted: later names, merges and maps are made of it.
    training_free_labels_ : int64 (n_images,)
        Step 6: the clusters without trained heads, numbered independently of labels_.
    column_groups_ : int64 (n_columns,)
        The cluster of each column of image_head_: a merged cluster has several.
    semantic_centers_ : float32 (n_centers, n_features_in_), unit rows
        This and what follows about words are there only where nouns were given.
    noun_vocabulary_ : list of str
        The chosen nouns, in the given order.
    vocabulary_rows_ : int64 (n_chosen,)
        Their positions among the given nouns.
    vocabulary_embeddings_ : float32 (n_chosen, n_features_in_), unit rows
    text_counterparts_ : float32 (n_images, n_features_in_), unit rows
    tau_ : float
        The temperature that they were blended at.
    text_weight_ : TextWeight
        How much the text counts, and why.
    image_kmeans_labels_ : int64 (n_images,)
        The clusters of k-means on the images alone, where the method asks for them.
    training_seconds_ : float
        Of the heads, and of what they alone need.
    image_head_, text_head_ : ClusterHead
    loss_history_ : tuple of EpochLosses
    n_features_in_ : int
        Width of the embeddings.
    feature_names_in_ : (n_features_in_,) str
        The columns of a data frame with one column for each dimension.

    Examples
    --------
    >>> clusters = TextAidedClustering(n_clusters=10)
    >>> labels = clusters.fit_predict(image_embeddings, nouns=nouns, noun_embeddings=noun_embeddings)  # doctest: +SKIP
    >>> clusters.cluster_names_[labels[0]]  # doctest: +SKIP
    'guacamole'
    """

    def __init__(
        self,
        n_clusters: int | str = 10,
        *,
        min_clusters: int = 2,
        max_clusters: int = 200,
        method: str = "robust",
        tau: float | None = None,
        text_weight: float | None = None,
        nouns_per_center: int = 5,
        images_per_center: int = 300,
        n_semantic_centers: int | None = None,
        n_neighbors: int | None = None,
        n_members: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        temperature: float | None = None,
        balance_weight: float = 5.0,
        learning_rate: float = 1e-3,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = 0,
        n_jobs: int | None = None,
        verbose: bool | int = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.min_clusters = min_clusters
        self.max_clusters = max_clusters
        self.method = method
        self.tau = tau
        self.text_weight = text_weight
        self.nouns_per_center = nouns_per_center
        self.images_per_center = images_per_center
        self.n_semantic_centers = n_semantic_centers
        self.n_neighbors = n_neighbors
        self.n_members = n_members
        self.epochs = epochs
        self.batch_size = batch_size
        self.temperature = temperature
        self.balance_weight = balance_weight
        self.learning_rate = learning_rate
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(
        self,
        X: Any,
        y: object = None,
        *,
        nouns: Sequence[str] | None = None,
        noun_embeddings: Any = None,
        known: Sequence[str | None] | None = None,
    ) -> Self:
        """Find the clusters and their names.

        Parameters
        ----------
        X : (n_images, dim), rows of any length but zero
            Image embeddings: an array, a torch tensor, lists, or a frame of polars or pandas with one column of
            vectors or one column for each dimension.
        y : ignored
        nouns : sequence of str, each once, optional
            Candidates: nouns for what the images may show. Without them the images alone are grouped, and the clusters
            have no names; only method="robust". `name_clusters` names them later.
        noun_embeddings : (n_nouns, dim), optional
            From the same encoder, in the order of nouns.
        known : sequence of str or None, n_images long, optional
            The class of each image that is an example of one, and None for all others. The first clusters are these
            classes, in the order of their sorted names, and are called so; the rest are new. Only method="robust".

        Raises
        ------
        InputError
            The vectors, the nouns, the examples or a parameter cannot be used; the message says which and why.
        """
        given = self.get_params()
        images = unit_rows_of(X, name="image_embeddings")
        words, candidates = _require_words(nouns, noun_embeddings, images)
        require_parameters(given, n_images=len(images))
        if candidates is None:
            require_alone(self.method, self.text_weight)
        classes = None if known is None else require_known(known, method=self.method, n_images=len(images))
        seed = seed_of(self.random_state)
        if not isinstance(self.n_clusters, str):
            require_known_count(classes, n_clusters=int(self.n_clusters))
        with threads(self.n_jobs), bars(self.verbose) as told:
            n_clusters, estimate = count_clusters(
                images, self.n_clusters, fewest=self.min_clusters, most=self.max_clusters, seed=seed, told=told
            )
            require_known_count(classes, n_clusters=n_clusters)
            found = find_groups(
                images,
                candidates,
                method=self.method,
                n_clusters=n_clusters,
                classes=classes,
                choices=choices_of(given, seed=seed),
                told=told,
            )
            names = {} if classes is None else dict(enumerate(classes.names))
            found |= _named(found["labels_"], images, words, candidates, n_clusters=n_clusters, given=names)
        found |= {"n_clusters_": n_clusters, "count_estimate_": estimate, "given_names_": names}
        if words is not None:
            found["noun_vocabulary_"] = [words[row] for row in found["vocabulary_rows_"]]
        self._keep(found | {"image_embeddings_": images}, X)
        return self

    def predict(self, X: Any) -> IntVector:
        """The cluster of each image, int64 (n_images,), also of new ones, from the image head (paper step 10)."""
        return assign(self.predict_proba(X)).column

    def predict_proba(self, X: Any) -> FloatMatrix:
        """Soft assignments, float32 (n_images, n_clusters_), rows sum to 1.

        Raises
        ------
        NotFittedError
            fit has not been called.
        InputError
            The embeddings are not as wide as the fitted ones, or hold NaN or zero rows.
        """
        rows = self._rows(X)
        with threads(self.n_jobs):
            return sum_groups(soft_assignment(self.image_head_, rows), self.column_groups_)

    def predict_confidence(self, X: Any) -> FloatVector:
        """How sure each image's cluster is, float32 (n_images,), from 0 to 1.

        The highest of its probabilities, and no more than its cluster itself is sure to be one.
        """
        soft = self.predict_proba(X)
        return assign(soft, ceilings=group_ceilings(self.image_head_, self.column_groups_)).confidence

    def transform(self, X: Any) -> FloatMatrix:
        """Similarities, not distances: the cosine of each image with each cluster's center.

        Float32 (n_images, n_clusters_), from -1 to 1; what a store's tables call similarity. The most similar center
        is mostly, but not always, the cluster that predict gives: that looks in a whitened space.
        """
        similarity: FloatMatrix = self._rows(X) @ self.cluster_centers_.T
        return similarity

    def score(self, X: Any, y: npt.ArrayLike | None = None) -> float:
        """With labels, the accuracy under the best one-to-one matching; without, how compact the clusters are.

        Parameters
        ----------
        X : (n_images, dim)
        y : integers or strings (n_images,), optional
            True classes. Without them the score is the mean cosine of the images with the centers of their clusters.
            `tac_pipeline.method.clusters.evaluation.score` has every other measure.
        """
        labels = self.predict(X)
        if y is None:
            return float(np.take_along_axis(self.transform(X), labels[:, np.newaxis], axis=1).mean())
        return compare(np.asarray(y), labels).acc

    def name_clusters(self, nouns: Sequence[str], noun_embeddings: Any) -> Self:
        """Name the clusters again, with other words; the clusters stay as they are. In place.

        Parameters
        ----------
        nouns : sequence of str, each once
        noun_embeddings : (n_nouns, dim)
            From the encoder of the images, in the order of nouns.
        """
        images = self._fitted_images("name_clusters")
        words, candidates = _require_words(nouns, noun_embeddings, images)
        named = _named(self.labels_, images, words, candidates, n_clusters=self.n_clusters_, given=self.given_names_)
        self.__dict__ |= named
        return self

    def merge_clusters(self, groups: Sequence[Sequence[int]]) -> Self:
        """Make clusters one, such as [[0, 3], [2, 5, 6]]. In place; nothing is learned again.

        The probabilities of merged clusters add up. A merged cluster has the place of its first one, those after it
        move up, and the name of its largest one; name_clusters names it by all of its images.

        Raises
        ------
        InputError
            A group is no list of clusters, a cluster is there twice, or fewer than two clusters are left.
        """
        from tac_pipeline.estimator.regrouping import merged

        self._keep(merged(self, groups, self._fitted_images("merge_clusters")))
        return self

    def reduce_to(self, k: int) -> Self:
        """Merge clusters along their tree until k are left. In place; nothing is learned again.

        The tree is the pipeline's: near clusters look alike, have similar nouns and are of one kind. A merged cluster
        is called by what its clusters have in common.

        Raises
        ------
        InputError
            k is not from 2 to n_clusters_.
        """
        from tac_pipeline.estimator.regrouping import reduced

        self._keep(reduced(self, k, self._fitted_images("reduce_to")))
        return self

    def plot_map(self) -> Image:
        """A map of the fitted images, at most 5,000 of them: near ones are alike, colors are clusters."""
        from tac_pipeline.estimator.pictures import draw_map

        return draw_map(self, self._fitted_images("plot_map"), seed=seed_of(self.random_state))

    def plot_clusters(self, images: Sequence[str | Path], *, per_cluster: int = 9) -> Image:
        """A contact sheet: the most typical images of each cluster, the largest 60 clusters.

        Parameters
        ----------
        images : sequence of path or URL, n_images long
            The fitted images' files, in their order. A notebook shows their pictures with the clusters from then on.
        per_cluster : int
        """
        from tac_pipeline.estimator.pictures import draw_sheet

        return draw_sheet(self, images, self._fitted_images("plot_clusters"), per_cluster=per_cluster)

    def save(self, path: str | Path, *, with_images: bool = True) -> None:
        """Write what was fitted to one file: safetensors, with the rest as JSON in its metadata; no pickle.

        Parameters
        ----------
        path : str or Path
            Replaced in one move.
        with_images : bool
            False leaves out the fitted vectors, which are most of the file: new images are assigned as before, and
            merges, maps and other names cannot be made.

        Raises
        ------
        InputError
            It cannot be written there.
        """
        from tac_pipeline.estimator.saving import write

        check_is_fitted(self)
        write(self, Path(path), with_images=with_images)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what save wrote; labels, names and probabilities are equal to the bit.

        Raises
        ------
        InputError
            There is no such file, it is cut short, or something else wrote it.
        """
        from tac_pipeline.estimator.saving import read

        params, found = read(Path(path))
        return cls(**params)._keep(found)

    def _keep(self, found: Found, rows: Any = None) -> Self:
        """Replace all that was found in one move, so that a fit that is interrupted leaves the one before whole."""
        kept = {name: value for name, value in vars(self).items() if not name.endswith("_")}
        if rows is not None:
            found["n_features_in_"] = found["image_embeddings_"].shape[1]
        self.__dict__ = kept | found
        if rows is not None and has_named_columns(rows):
            validate_data(self, rows, skip_check_array=True)
        return self

    def _rows(self, given: Any) -> FloatMatrix:
        """Vectors as the head takes them."""
        check_is_fitted(self)
        rows = unit_rows_of(given, name="image_embeddings")
        try:
            validate_data(self, given if has_named_columns(given) else rows, reset=False, skip_check_array=True)
        except ValueError as error:
            raise InputError(f"{error} image_embeddings must be of the encoder that was fitted.") from error
        view = getattr(self, "view_", None)
        return rows if view is None else view.apply(rows)

    def _fitted_images(self, what: str) -> FloatMatrix:
        check_is_fitted(self)
        images: FloatMatrix | None = getattr(self, "image_embeddings_", None)
        if images is None:
            raise InputError(f"{what} needs the fitted vectors, which this one was saved or made without; fit it again")
        return images

    @property
    def _n_features_out(self) -> int:
        return int(self.n_clusters_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "image_head_")

    def _repr_html_(self) -> str:
        """The clusters in a notebook, below the parameters."""
        from tac_pipeline.estimator.pictures import as_html

        return as_html(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def _require_words(
    nouns: Sequence[str] | None, noun_embeddings: Any, images: FloatMatrix
) -> tuple[list[str] | None, FloatMatrix | None]:
    """The nouns and their vectors, or two Nones."""
    if nouns is None and noun_embeddings is None:
        return None, None
    if nouns is None or noun_embeddings is None:
        absent, there = ("nouns", "noun_embeddings") if nouns is None else ("noun_embeddings", "nouns")
        kind = "a list of strings, one for each row of noun_embeddings" if nouns is None else "a matrix"
        raise InputError(f"{absent} must be {kind}; got None beside {there}. Give both, or neither")
    candidates = unit_rows_of(noun_embeddings, name="noun_embeddings")
    require_same_width(images, candidates, names=("image_embeddings", "noun_embeddings"))
    return require_nouns(nouns, n_rows=len(candidates)), candidates


def _named(
    labels: IntVector,
    images: FloatMatrix,
    words: list[str] | None,
    candidates: FloatMatrix | None,
    *,
    n_clusters: int,
    given: dict[int, str],
) -> Found:
    if words is None or candidates is None:
        return no_names(n_clusters, given=given)
    return find_names(images, labels, words, candidates, n_clusters=n_clusters, given=given)
