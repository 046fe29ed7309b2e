"""A fitted clusterer as a file: equal to the bit, and nothing else is taken for one."""

import json
from pathlib import Path

import joblib
import numpy as np
import pytest
import safetensors.numpy
from animal_groups import IMAGES, NOUN_EMBEDDINGS, NOUNS, fit, images_of

from tac_pipeline import TextAidedClustering
from tac_pipeline.errors import InputError


def assert_same(found: TextAidedClustering, wanted: TextAidedClustering) -> None:
    new = images_of(1)
    np.testing.assert_array_equal(found.labels_, wanted.labels_)
    for call in ("predict_proba", "predict_confidence", "transform"):
        np.testing.assert_array_equal(getattr(found, call)(new), getattr(wanted, call)(new))
    assert found.cluster_words_ == wanted.cluster_words_
    assert found.cluster_names_ == wanted.cluster_names_
    assert found.get_params() == wanted.get_params()
    assert vars(found).keys() == vars(wanted).keys()


@pytest.mark.parametrize(
    "changes",
    [{}, {"method": "published", "epochs": 2}, {"n_clusters": "auto"}, {"nouns": None, "noun_embeddings": None}],
    ids=["robust", "published", "auto", "images alone"],
)
def test_what_is_saved_is_loaded_equal_to_the_bit(changes, tmp_path: Path) -> None:
    fitted = fit(**changes)
    fitted.save(tmp_path / "groups.safetensors")
    loaded = TextAidedClustering.load(tmp_path / "groups.safetensors")
    assert_same(loaded, fitted)
    assert loaded.text_weight_ == fitted.text_weight_
    assert loaded.loss_history_ == fitted.loss_history_
    assert [path.name for path in tmp_path.iterdir()] == ["groups.safetensors"]
    # Equal clusterers give equal files.
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "groups.safetensors").read_bytes()


def test_merges_known_names_and_columns_are_saved(tmp_path: Path) -> None:
    import polars as pl

    known: list[str | None] = ["my pets", *[None] * (len(IMAGES) - 1)]
    fitted = fit(pl.DataFrame(IMAGES, schema=[f"d{number}" for number in range(16)]), known=known)
    fitted.merge_clusters([[0, 2]]).save(tmp_path / "a")
    loaded = TextAidedClustering.load(str(tmp_path / "a"))
    frame = pl.DataFrame(IMAGES, schema=loaded.feature_names_in_.tolist())
    np.testing.assert_array_equal(loaded.predict(frame), fitted.labels_)
    assert loaded.given_names_ == fitted.given_names_
    assert loaded.name_clusters(NOUNS, NOUN_EMBEDDINGS).cluster_names_[0] == fitted.cluster_names_[0]


def test_a_file_without_images_assigns_and_says_what_it_lacks(tmp_path: Path) -> None:
    fitted = fit()
    fitted.save(tmp_path / "whole")
    fitted.save(tmp_path / "small", with_images=False)
    assert (tmp_path / "small").stat().st_size < (tmp_path / "whole").stat().st_size - IMAGES.nbytes
    small = TextAidedClustering.load(tmp_path / "small")
    np.testing.assert_array_equal(small.predict_proba(IMAGES), fitted.predict_proba(IMAGES))
    with pytest.raises(InputError, match="reduce_to needs the fitted vectors"):
        small.reduce_to(2)


def test_joblib_keeps_it(tmp_path: Path) -> None:
    fitted = fit()
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    assert_same(joblib.load(tmp_path / "fitted.joblib"), fitted)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "groups"
    with pytest.raises(InputError, match=r"there is no file at .*groups"):
        TextAidedClustering.load(path)
    fit().save(path)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"groups must be a whole file of TextAidedClustering\.save; it is cut"):
            TextAidedClustering.load(path)
    path.write_bytes(b"PK\x03\x04 not this at all" * 20)
    with pytest.raises(InputError, match="cut short or something else"):
        TextAidedClustering.load(path)
    path.write_bytes(safetensors.numpy.save({"x": IMAGES}))
    with pytest.raises(InputError, match=r"is a safetensors file that TextAidedClustering\.save did not write"):
        TextAidedClustering.load(path)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"version": 99, "params": {}, "found": {}}, "has version 99 of the file, .* install a newer one"),
        ({"version": 1, "params": {}}, "it holds something else"),
        ({"version": 1, "params": {}, "found": {"a_": {"kind": "Path", "of": []}}}, "it holds something else"),
        ({"version": 1, "params": {}, "found": {"a_": {"array": "gone"}}}, "it holds something else"),
    ],
    ids=["newer", "no attributes", "another kind", "an array that is gone"],
)
def test_a_file_with_other_contents_is_refused(told, message, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(safetensors.numpy.save({"x": IMAGES}, metadata={"tac_pipeline": json.dumps(told)}))
    with pytest.raises(InputError, match=message):
        TextAidedClustering.load(tmp_path / "a")


def test_a_generator_is_not_saved_and_other_things_are_named(tmp_path: Path) -> None:
    fit(random_state=np.random.RandomState(0)).save(tmp_path / "a")
    assert TextAidedClustering.load(tmp_path / "a").random_state is None
    fitted = fit()
    fitted.other_ = object()
    with pytest.raises(InputError, match="other_ cannot be saved: it is a object"):
        fitted.save(tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(InputError, match="must be a place where a file can be written: Is a directory"):
        fit().save(tmp_path)


def test_a_file_with_other_bytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clusters.safetensors"
    fit().save(path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match="has not the bytes that were saved"):
        TextAidedClustering.load(path)
