"""What scikit-learn checks of every estimator, and vectors in the forms that people have them in."""

import numpy as np
import polars as pl
import pytest
import torch
from animal_groups import DIM, GROUPS, IMAGES, NOUN_EMBEDDINGS, NOUNS, TRUTH, fit, images_of
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.estimator_checks import parametrize_with_checks

from tac_pipeline import TextAidedClustering
from tac_pipeline.errors import InputError
from tac_pipeline.estimator.rows import unit_rows_of
from tac_pipeline.estimator.running import threads

ONE_CLUSTER = "it asks for one cluster, which is refused: there must be two to tell apart"
EXPECTED = {
    "check_dont_overwrite_parameters": ONE_CLUSTER,
    "check_fit2d_1feature": ONE_CLUSTER,
    "check_fit2d_predict1d": ONE_CLUSTER,
    "check_methods_subset_invariance": ONE_CLUSTER + "; test_parts_and_the_whole_are_predicted_alike checks the same",
    "check_estimators_dtypes": "one of its rows is zero, which has no direction",
    "check_dtype_object": "InputError is a ValueError for everything that cannot be used; it wants a TypeError",
}


@parametrize_with_checks([TextAidedClustering(3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_s_checks(estimator, check) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def fitted() -> TextAidedClustering:
    return fit()


def test_parts_and_the_whole_are_predicted_alike(fitted) -> None:
    for method in ("predict_proba", "predict_confidence", "transform"):
        whole = getattr(fitted, method)(IMAGES)
        parts = np.concatenate([getattr(fitted, method)(IMAGES[row : row + 7]) for row in range(0, len(IMAGES), 7)])
        np.testing.assert_allclose(parts, whole, atol=1e-6)


NAMES = [f"d{number}" for number in range(DIM)]
FORMS = {
    "array": IMAGES,
    "float64": IMAGES.astype(np.float64),
    "lists": IMAGES.tolist(),
    "tensor": torch.from_numpy(IMAGES).requires_grad_(),
    "column of lists": pl.Series(IMAGES.tolist()),
    "column of arrays": pl.Series(IMAGES),
    "frame with a column of lists": pl.DataFrame({"embedding": IMAGES.tolist()}),
    "frame with a column of arrays": pl.DataFrame({"embedding": IMAGES}),
    "frame with a column for each dimension": pl.DataFrame(IMAGES, schema=NAMES),
}


@pytest.mark.parametrize("form", FORMS)
def test_vectors_are_taken_in_any_usual_form(form: str) -> None:
    np.testing.assert_allclose(unit_rows_of(FORMS[form], name="images"), IMAGES, atol=1e-6)


def test_bfloat16_and_whole_numbers_are_taken() -> None:
    near = unit_rows_of(torch.from_numpy(IMAGES).to(torch.bfloat16), name="images")
    np.testing.assert_allclose(near, IMAGES, atol=0.02)
    np.testing.assert_allclose(unit_rows_of(torch.tensor([[3, 4]]), name="images"), [[0.6, 0.8]], atol=1e-6)


def test_frames_of_pandas_are_taken() -> None:
    pd = pytest.importorskip("pandas")
    for frame in (pd.DataFrame(IMAGES, columns=NAMES), pd.DataFrame({"v": list(IMAGES)}), pd.Series(list(IMAGES))):
        np.testing.assert_allclose(unit_rows_of(frame, name="images"), IMAGES, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pl.DataFrame({"id": ["a"], "v": [[1.0, 2.0]]}), r"got columns id, v. Give the column alone: frame\['v'\]"),
        (pl.DataFrame({"id": ["a"], "x": [1.0]}), "one column of vectors that are equally long; look at id, of 2"),
        (pl.DataFrame({"v": [[1.0, 2.0], None]}), "one column of vectors that are equally long; look at v, of 1"),
        (["a.jpg", "b.jpg"], "must be vectors; got texts such as 'a.jpg'. tac_pipeline.embed_images"),
        (None, "must be a matrix; got NoneType"),
        (pl.Series([[1.0], [1.0, 2.0]]), "not equally long, or some are missing"),
        (np.ones(3), r"got a list of 3. Reshape your data: array.reshape"),
        ([[1.0], [1.0, 2.0]], "not equally long"),
        (np.ones((2, 3)) * 1j, "Complex data not supported"),
        (np.ones((0, 3)), r"0 sample\(s\)"),
        (np.ones((3, 0)), r"0 feature\(s\)"),
    ],
    ids=[
        *("id and vectors", "id and numbers", "a vector is missing", "paths", "nothing", "ragged column", "one row"),
        *("ragged lists", "complex", "no rows", "no columns"),
    ],
)
def test_other_forms_are_refused(given, message) -> None:
    with pytest.raises(InputError, match=message):
        unit_rows_of(given, name="images")


def test_the_names_of_columns_are_kept_and_compared() -> None:
    frame = pl.DataFrame(IMAGES, schema=NAMES)
    named = fit(frame)
    assert named.feature_names_in_.tolist() == NAMES
    np.testing.assert_array_equal(named.predict(frame), named.labels_)
    with pytest.raises(InputError, match="feature names"):
        named.predict(frame.select(reversed(NAMES)))
    assert not hasattr(fit(pl.DataFrame({"embedding": IMAGES})), "feature_names_in_")


def test_a_transformation_is_the_cosine_with_each_center(fitted) -> None:
    new = images_of(1)
    centers = np.stack([IMAGES[fitted.labels_ == cluster].mean(axis=0) for cluster in range(GROUPS)])
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.transform(new), new @ centers.T, atol=1e-5)
    names = [f"textaidedclustering{cluster}" for cluster in range(GROUPS)]
    assert fitted.get_feature_names_out().tolist() == names
    table = clone(fitted).set_output(transform="polars").fit_transform(IMAGES)
    assert table.columns == names


def test_a_score_is_accuracy_with_labels_and_compactness_without(fitted) -> None:
    assert fitted.score(IMAGES, [f"class {group}" for group in TRUTH]) == 1
    assert fitted.score(IMAGES, np.where(np.arange(90) < 9, 1, TRUTH)) == pytest.approx(81 / 90)
    similar = fitted.transform(IMAGES).max(axis=1).mean()
    assert fitted.score(IMAGES) == pytest.approx(similar, abs=1e-4)


def test_it_works_in_a_pipeline_and_a_search() -> None:
    words = {"textaidedclustering__nouns": NOUNS, "textaidedclustering__noun_embeddings": NOUN_EMBEDDINGS}
    chain = make_pipeline(Normalizer(), TextAidedClustering(GROUPS)).fit(IMAGES, **words)
    assert adjusted_rand_score(TRUTH, chain.predict(IMAGES)) == 1
    order = np.random.default_rng(0).permutation(90)
    search = GridSearchCV(TextAidedClustering(), {"n_clusters": [2, 3]}, cv=2).fit(IMAGES[order], TRUTH[order])
    assert search.best_params_ == {"n_clusters": 3}


def test_images_alone_are_grouped_without_names() -> None:
    alone = TextAidedClustering(GROUPS).fit(IMAGES)
    assert adjusted_rand_score(TRUTH, alone.labels_) == 1
    assert alone.cluster_names_ == [None] * GROUPS
    assert alone.text_weight_.training_free == 0
    # At weight 0 nouns change nothing but the names.
    np.testing.assert_array_equal(alone.labels_, fit(text_weight=0.0).labels_)
    known: list[str | None] = [None] * 90
    known[0] = "pets"
    assert TextAidedClustering(GROUPS).fit(IMAGES, known=known).cluster_names_ == ["pets", None, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "published"}, "'published' needs nouns and noun_embeddings; without them, method robust"),
        ({"text_weight": 0.5}, "text_weight must be 0 or None where no nouns are given; got 0.5"),
        ({"n_clusters": "auto", "min_clusters": 5, "max_clusters": 4}, "min_clusters must be from 2 to max_clusters"),
        ({"n_clusters": "finest"}, "n_clusters must be a whole number, or auto or fine or coarse; got 'finest'"),
        ({"n_jobs": 0}, "n_jobs must be a whole number other than 0, or None; got 0"),
        ({"max_clusters": 1.5}, "max_clusters must be a whole number; got 1.5"),
    ],
)
def test_what_cannot_be_done_is_refused(changes, message) -> None:
    with pytest.raises(InputError, match=message):
        TextAidedClustering(**changes).fit(IMAGES)


def test_the_number_of_clusters_is_found(monkeypatch) -> None:
    found = TextAidedClustering("auto", max_clusters=8).fit(IMAGES)
    assert found.n_clusters_ == found.count_estimate_.count == 3
    assert TextAidedClustering("auto", min_clusters=4).fit(IMAGES).n_clusters_ == 4
    asked: list[str] = []
    kind = type(found.count_estimate_)
    monkeypatch.setattr(kind, "at_level", lambda self, level: asked.append(level) or 2)
    assert TextAidedClustering("coarse").fit(IMAGES).n_clusters_ == 2
    assert asked == ["coarse"]


def test_threads_are_bounded_and_given_back() -> None:
    before = torch.get_num_threads()
    with threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with threads(-1):
        assert torch.get_num_threads() >= 1
    one = TextAidedClustering(GROUPS, n_jobs=1).fit(IMAGES)
    np.testing.assert_array_equal(one.labels_, TextAidedClustering(GROUPS).fit(IMAGES).labels_)


def test_a_bar_says_what_is_counted(capsys) -> None:
    fit(verbose=True, epochs=1)
    assert "groupings" in capsys.readouterr().out
    fit(epochs=1)
    assert capsys.readouterr().out == ""


def test_nothing_is_given_before_a_fit() -> None:
    for call in ("transform", "predict_confidence", "score"):
        with pytest.raises(NotFittedError):
            getattr(TextAidedClustering(), call)(IMAGES)
    with pytest.raises(NotFittedError):
        TextAidedClustering().merge_clusters([[0, 1]])
