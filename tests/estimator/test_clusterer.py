"""The scikit-learn clusterer: its contract, its edges, and that it does what the method's functions do."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from animal_groups import DIM, GROUPS, IMAGES, NOUN_EMBEDDINGS, NOUNS, PER_GROUP, QUICK, TRUTH, fit, images_of
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score

import tac_pipeline
from tac_pipeline import TextAidedClustering
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.semantic_centers import count_semantic_centers, find_semantic_centers
from tac_pipeline.method.grouping.training_free import image_kmeans, training_free_clusters
from tac_pipeline.method.grouping.whitening import whiten_by_total, whiten_within
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.joined_heads import learn_joined_heads
from tac_pipeline.method.heads.linear_head import center_head
from tac_pipeline.method.heads.training import train_cluster_heads
from tac_pipeline.method.values.published import training_schedule
from tac_pipeline.method.values.trained import robust_schedule
from tac_pipeline.method.words.grouping_by_words import Recipe, group_by_words
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.noun_vocabulary import choose_noun_vocabulary
from tac_pipeline.method.words.text_counterparts import choose_tau, retrieve_text_counterparts
from tac_pipeline.method.words.text_weight import choose_text_weight


@pytest.fixture(scope="module")
def fitted() -> TextAidedClustering:
    return fit()


def test_it_finds_and_names_the_groups(fitted) -> None:
    assert adjusted_rand_score(TRUTH, fitted.labels_) == 1
    assert adjusted_rand_score(TRUTH, fitted.training_free_labels_) == 1
    names = [fitted.cluster_names_[fitted.labels_[first]] for first in (0, PER_GROUP, 2 * PER_GROUP)]
    assert names[0] in {"cat", "kitten"}
    assert names[1] in {"dog", "puppy"}
    assert names[2] in {"bird", "chick"}


def test_what_is_kept_fits_together(fitted) -> None:
    assert fitted.n_features_in_ == DIM
    assert fitted.noun_vocabulary_ == [NOUNS[row] for row in fitted.vocabulary_rows_]
    assert fitted.cluster_names_ == [words.name for words in fitted.cluster_words_]
    assert fitted.text_counterparts_.shape == IMAGES.shape
    assert fitted.loss_history_ == ()
    assert fitted.tau_ > 0
    assert fitted.labels_.dtype == np.int64


def test_new_images_are_assigned(fitted) -> None:
    new = images_of(1)
    assert adjusted_rand_score(TRUTH, fitted.predict(new)) == 1
    soft = fitted.predict_proba(new)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(soft.argmax(axis=1), fitted.predict(new))
    np.testing.assert_array_equal(fitted.predict(IMAGES), fitted.labels_)
    # Length is no part of a vector's meaning.
    np.testing.assert_array_equal(fitted.predict(7 * new), fitted.predict(new))


def texts_of_the_images() -> tuple[np.ndarray, np.ndarray]:
    """Steps 3 to 5 by the method's functions: the semantic centers and the text counterparts."""
    count = count_semantic_centers(len(IMAGES), GROUPS, images_per_center=300)
    centers = find_semantic_centers(IMAGES, n_centers=count, seed=0).centers
    vocabulary = NOUN_EMBEDDINGS[choose_noun_vocabulary(NOUN_EMBEDDINGS, centers, nouns_per_center=5).rows]
    return centers, retrieve_text_counterparts(IMAGES, vocabulary, tau=0.05)


def test_published_is_the_chain_of_the_published_functions() -> None:
    published = fit(method="published")
    centers, texts = texts_of_the_images()
    free = training_free_clusters(IMAGES, texts, text_weight=1.0, n_clusters=GROUPS, restarts=20, seed=0)
    trained = train_cluster_heads(
        IMAGES,
        texts,
        nearest_neighbors(IMAGES, count=10),
        nearest_neighbors(texts, count=10),
        n_clusters=GROUPS,
        schedule=training_schedule(GROUPS, epochs=20, batch_size=45),
        balance_weight=5.0,
        learning_rate=1e-2,
        seed=0,
    )
    np.testing.assert_allclose(published.semantic_centers_, centers, atol=1e-6)
    np.testing.assert_allclose(published.text_counterparts_, texts, atol=1e-6)
    np.testing.assert_array_equal(published.training_free_labels_, free.assignment)
    np.testing.assert_array_equal(published.labels_, assign(soft_assignment(trained.image_head, IMAGES)).column)


def test_robust_is_the_chain_of_the_robust_functions(fitted) -> None:
    neighbors = nearest_neighbors(whiten_by_total(IMAGES, power=0.3).apply(IMAGES), count=10)
    chosen = NOUN_EMBEDDINGS[fitted.vocabulary_rows_]
    tau = choose_tau(IMAGES, chosen, per_spread=1.5, max_images=2000)
    assert fit(tau=None).tau_ == pytest.approx(tau, rel=1e-5)
    tau = fitted.tau_
    assert tau == QUICK["tau"]
    texts = retrieve_text_counterparts(IMAGES, chosen, tau=tau)
    recipe = Recipe(
        tau=tau,
        text_weight=0.7,
        rounds=2,
        nouns_per_group=3,
        group_share=0.5,
        shrinkage=0.3,
        scatter_images=10_000,
    )
    free = group_by_words(
        IMAGES, texts, CandidateVectors.whole(NOUN_EMBEDDINGS), neighbors, n_clusters=GROUPS, recipe=recipe, seed=0
    )
    np.testing.assert_array_equal(fitted.training_free_labels_, free.assignment)
    whitening = whiten_within(IMAGES, neighbors, free.assignment, group_share=0.5, shrinkage=0.3)
    head = center_head(IMAGES, free.assignment, n_clusters=GROUPS, whitening=whitening)
    np.testing.assert_array_equal(fitted.labels_, assign(soft_assignment(head, IMAGES)).column)


def test_trained_is_the_chain_of_the_trained_functions() -> None:
    fitted = fit(method="trained")
    assert [epoch.epoch for epoch in fitted.loss_history_] == list(range(1, 21))
    _, texts = texts_of_the_images()
    neighbors = nearest_neighbors(IMAGES, count=10)
    weight = choose_text_weight(IMAGES, texts, neighbors, n_clusters=GROUPS, seed=0)
    assert fitted.text_weight_ == weight
    free = training_free_clusters(
        IMAGES, texts, text_weight=weight.training_free, n_clusters=GROUPS, restarts=20, seed=0
    )
    rows = blend_rows(IMAGES, texts, text_weight=weight.heads)
    learned = learn_joined_heads(
        IMAGES,
        rows,
        neighbors,
        nearest_neighbors(rows, count=10),
        kmeans=image_kmeans(IMAGES, n_clusters=GROUPS, restarts=20, seed=0).assignment,
        n_clusters=GROUPS,
        members=2,
        schedule=robust_schedule(len(IMAGES), GROUPS, epochs=20, batch_size=45),
        balance_weight=5.0,
        learning_rate=1e-2,
        seed=0,
    )
    np.testing.assert_array_equal(fitted.training_free_labels_, free.assignment)
    # The estimator normalizes rows that are unit rows already.
    np.testing.assert_allclose(fitted.predict_proba(IMAGES), soft_assignment(learned.image_head, IMAGES), atol=1e-3)


def test_lists_and_doubles_are_taken() -> None:
    found = fit(IMAGES.astype(np.float64).tolist(), noun_embeddings=NOUN_EMBEDDINGS.astype(np.float16), epochs=1)
    assert found.n_features_in_ == DIM


def test_fit_predict_gives_the_labels(fitted) -> None:
    labels = TextAidedClustering(**QUICK).fit_predict(IMAGES, nouns=NOUNS, noun_embeddings=NOUN_EMBEDDINGS)
    np.testing.assert_array_equal(labels, fitted.labels_)


def test_it_is_cloned_and_pickled_as_scikit_learn_expects(fitted) -> None:
    assert clone(fitted).get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "labels_")
    assert TextAidedClustering().set_params(tau=0.1).tau == 0.1
    restored = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_array_equal(restored.predict(IMAGES), fitted.labels_)


def test_it_cannot_assign_before_it_is_fitted() -> None:
    with pytest.raises(NotFittedError):
        TextAidedClustering().predict(IMAGES)


def test_random_states() -> None:
    def centers(state: object) -> np.ndarray:
        return fit(random_state=state, epochs=1, method="published").semantic_centers_

    np.testing.assert_array_equal(centers(3), centers(np.int64(3)))
    generator = np.random.RandomState(0)
    first, second = centers(generator), centers(generator)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, centers(np.random.RandomState(0)))
    assert centers(None).shape == first.shape


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_clusters": 1}, "n_clusters must be from 2 to the number of images, 90; got 1"),
        ({"n_clusters": 91}, "n_clusters must be from 2 to the number of images, 90; got 91"),
        ({"tau": 0}, "tau must be > 0; got 0"),
        ({"nouns_per_center": 0}, "nouns_per_center must be at least 1; got 0"),
        ({"images_per_center": 0}, "images_per_center must be at least 1; got 0"),
        ({"n_semantic_centers": 0}, "n_semantic_centers must be at least 1; got 0"),
        ({"method": "papers"}, "method must be one of robust, published, trained; got 'papers'"),
        ({"n_members": 0}, "n_members must be at least 1; got 0"),
        ({"text_weight": -1.0}, "text_weight must be at least 0; got -1.0"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1; got 0"),
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2; got 1"),
        ({"balance_weight": float("nan")}, "balance_weight must be at least 0; got nan"),
        ({"temperature": 0.0}, "temperature must be > 0; got 0.0"),
        ({"learning_rate": -1.0}, "learning_rate must be > 0; got -1.0"),
        ({"n_clusters": 3.0}, "n_clusters must be a whole number, or auto or fine or coarse; got 3.0"),
        ({"n_clusters": "3"}, "n_clusters must be a whole number, or auto or fine or coarse; got '3'"),
        ({"n_clusters": None}, "n_clusters must be a whole number, or auto or fine or coarse; got None"),
        ({"n_clusters": True}, "n_clusters must be a whole number, or auto or fine or coarse; got True"),
        ({"epochs": 3.5}, "epochs must be a whole number or None; got 3.5"),
        ({"n_neighbors": "10"}, "n_neighbors must be a whole number or None; got '10'"),
        ({"n_semantic_centers": np.float64(3)}, r"n_semantic_centers must be a whole number or None; got "),
        ({"images_per_center": None}, "images_per_center must be a whole number; got None"),
        ({"tau": "0.1"}, "tau must be a number or None; got '0.1'"),
        ({"text_weight": True}, "text_weight must be a number or None; got True"),
        ({"learning_rate": None}, "learning_rate must be a number; got None"),
        ({"balance_weight": [1]}, r"balance_weight must be a number; got \[1\]"),
        ({"temperature": 1j}, "temperature must be a number or None; got 1j"),
        ({"method": None}, "method must be one of robust, published, trained; got None"),
        ({"method": ["robust"]}, r"method must be one of robust, published, trained; got \['robust'\]"),
        ({"device": "auto"}, "device must be cpu, or cuda, cuda:N or mps where torch has it; got 'auto'"),
        ({"device": None}, "device must be cpu, or .*; got None"),
        ({"device": "cuda:99"}, "device must be cpu, or .*; got 'cuda:99'"),
        ({"random_state": "seed"}, "random_state must be a seed, .*; got 'seed'"),
        ({"random_state": -1}, "random_state must be a seed, .*; got -1"),
        ({"random_state": 1.5}, "random_state must be a seed, .*; got 1.5"),
        ({"random_state": True}, "random_state must be a seed, .*; got True"),
        ({"nouns": None}, "nouns must be a list of strings"),
        ({"nouns": 8}, "nouns must be a list of strings"),
        ({"images": None}, "image_embeddings must be a matrix"),
        ({"nouns": NOUNS[:-1]}, "nouns must have one entry for each row of noun_embeddings; got 7 for 8"),
        ({"nouns": ["cat"] * 2 + NOUNS[2:7] + ["dog"]}, "2 are there more than once, such as 'cat', 'dog'"),
        ({"nouns": [*NOUNS[:7], 3]}, "nouns must be a list of strings"),
        ({"nouns": "abcdefgh"}, "nouns must be a list of strings"),
        ({"noun_embeddings": NOUN_EMBEDDINGS[:, :5]}, "must have the same width; got 16 and 5"),
        ({"noun_embeddings": NOUN_EMBEDDINGS * np.nan}, "noun_embeddings must be finite; 8 of 8 rows"),
        ({"images": np.zeros((4, DIM))}, "image_embeddings must not hold zero vectors"),
        ({"images": IMAGES[0]}, "image_embeddings must be a matrix"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_first_long_step(changes, message, monkeypatch) -> None:
    monkeypatch.setattr("tac_pipeline.estimator.fitting.Walk", None)
    with pytest.raises(InputError, match=message):
        fit(**changes)


@pytest.mark.parametrize("state", [-1, 2**32, "seed"])
def test_an_impossible_random_state_is_refused(state) -> None:
    with pytest.raises(ValueError, match=r"(?i)seed"):
        fit(random_state=state)


def test_numbers_of_numpy_are_numbers(fitted) -> None:
    found = fit(n_clusters=np.int32(GROUPS), tau=np.float32(0.05), n_neighbors=np.int64(10))
    np.testing.assert_array_equal(found.labels_, fitted.labels_)


def test_the_length_of_a_vector_has_no_limit(fitted) -> None:
    long = IMAGES.copy()
    long[0] *= 1e25
    long[1] *= 1e-25
    np.testing.assert_array_equal(fit(long).labels_, fitted.labels_)
    np.testing.assert_array_equal(fitted.predict(long), fitted.labels_)


@pytest.mark.parametrize("step", ["name_groups", "assign"])
def test_a_fit_that_is_interrupted_leaves_the_one_before_whole(step: str, monkeypatch) -> None:
    clusters = fit(method="published", epochs=1)
    before = {name: value for name, value in vars(clusters).items() if name.endswith("_")}

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    clusters.set_params(n_clusters=2, method="robust")
    with monkeypatch.context() as patched:
        patched.setattr(f"tac_pipeline.estimator.fitting.{step}", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clusters.fit(IMAGES, nouns=NOUNS[::-1], noun_embeddings=NOUN_EMBEDDINGS)
    after = {name: value for name, value in vars(clusters).items() if name.endswith("_")}
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    clusters.fit(IMAGES, nouns=NOUNS, noun_embeddings=NOUN_EMBEDDINGS)
    assert not hasattr(clusters, "image_kmeans_labels_"), "nothing of another method's fit is left"


def test_new_images_must_be_as_wide_as_those_fitted(fitted) -> None:
    with pytest.raises(InputError, match="X has 5 features, but TextAidedClustering is expecting 16 features"):
        fitted.predict(IMAGES[:, :5])
    with pytest.raises(InputError, match="image_embeddings must be finite"):
        fitted.predict(IMAGES * np.nan)


def test_importing_the_package_stays_light() -> None:
    heavy = "{'torch', 'sklearn', 'scipy', 'faiss', 'polars', 'dagster'}"
    code = f"import sys, tac_pipeline; print(sorted({heavy} & set(sys.modules)), tac_pipeline.__version__)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["[]", tac_pipeline.__version__]


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'KMeans'"):
        tac_pipeline.KMeans  # noqa: B018


def test_known_classes_are_the_first_clusters_and_keep_their_names() -> None:
    known: list[str | None] = [None] * len(IMAGES)
    known[65], known[0], known[1] = "wings", "my pets", "wings"
    found = fit(known=known)
    assert found.cluster_names_[:2] == ["my pets", "wings"]
    assert found.cluster_words_[0].confidence == 1
    assert found.cluster_names_[2] in NOUNS
    np.testing.assert_array_equal(found.labels_[2:], np.array([0, 2, 1])[TRUTH[2:]])
    # The example that is not like its class is pinned while groups are learned; the head says what it looks like.
    assert found.training_free_labels_[1] == 1


@pytest.mark.parametrize(
    ("known", "changes", "message"),
    [
        (["a"], {}, "known must be a list of 90 entries, .* got 1$"),
        ([1] * 90, {}, "known must be a list of 90 entries"),
        ([None] * 90, {}, "at least one example"),
        ([f"class {row % 4}" for row in range(90)], {}, "got 3 clusters and 4 classes"),
        (["a"] * 90, {"method": "trained"}, "kept by method robust alone; got 'trained'"),
    ],
    ids=["short", "no text", "none", "more than clusters", "method"],
)
def test_known_classes_that_cannot_be_kept_are_refused(known, changes, message) -> None:
    with pytest.raises(InputError, match=message):
        fit(known=known, **changes)
