"""Files and words to vectors, by the packaged encoder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from tac_pipeline import TextAidedClustering, embed_images, embed_words
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.errors import EncoderError, InputError
from tac_pipeline.sources.decoding import decode_image

SMALL = {"model": "tac-small", "pretrained": "drawn", "verbose": False}


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = []
    for row, color in enumerate(["red", "green", "blue"] * 3):
        found.append(tmp_path / f"{row}.png")
        Image.new("RGB", (40 + row, 40), color).save(found[-1])
    return found


def test_images_are_embedded_in_their_order_as_a_store_embeds_them(paths) -> None:
    vectors = embed_images(paths, batch_size=4, n_jobs=1, **SMALL)
    encoder = open_clip_encoder("tac-small", "drawn")
    squares = [
        decode_image(
            path.read_bytes(),
            size=encoder.image_size,
            max_pixels=10_000,
            resize_mode=encoder.resize_mode,
            interpolation=encoder.interpolation,
        ).pixels
        for path in paths
    ]
    np.testing.assert_allclose(vectors, encoder.encode_images(np.stack(squares)), atol=2e-3)
    groups = TextAidedClustering(3).fit_predict(vectors)
    assert adjusted_rand_score([0, 1, 2] * 3, groups) == 1


def test_words_are_averaged_over_prompts(capsys) -> None:
    words = ["boat", "cat"]
    found = embed_words(words, **SMALL)
    assert found.shape == (2, open_clip_encoder("tac-small", "drawn").dim)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    own = embed_words(words, templates=["a {}", "the {}"], **SMALL)
    encoder = open_clip_encoder("tac-small", "drawn")
    expected = encoder.encode_nouns(words, templates=["a {}", "the {}"], batch_size=8)
    np.testing.assert_allclose(own, expected, atol=1e-5)
    assert capsys.readouterr().out == ""
    embed_words(words, templates=["{}"], **{**SMALL, "verbose": True})
    assert "words" in capsys.readouterr().out


def test_an_image_that_cannot_be_read_stops_or_is_a_row_of_nan(paths, tmp_path) -> None:
    (tmp_path / "no image.png").write_bytes(b"no image")
    given = [paths[0], tmp_path / "no image.png", tmp_path / "absent.png"]
    with pytest.raises(InputError, match=r"every image must be readable; these are not: .*no image.png \(.*absent.png"):
        embed_images(given, **SMALL)
    found = embed_images(given, unreadable="nan", **SMALL)
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True]


def test_what_cannot_be_embedded_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=r"images must be files; .* is a folder: give those in it, such as sorted"):
        embed_images(tmp_path, **SMALL)
    with pytest.raises(InputError, match="images must have at least one path; got none"):
        embed_images([], **SMALL)
    with pytest.raises(InputError, match="unreadable must be raise or nan; got 'skip'"):
        embed_images("a.png", unreadable="skip", **SMALL)
    with pytest.raises(InputError, match="words must be a list of at least one string"):
        embed_words([], **SMALL)
    with pytest.raises(EncoderError):
        embed_words(["cat"], model="no such model", verbose=False)
