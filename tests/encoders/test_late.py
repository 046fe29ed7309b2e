"""The encoder that is loaded when it is first used, and not before."""

import subprocess
import sys

import numpy as np

from tac_pipeline.encoders import open_clip_encoder, small
from tac_pipeline.encoders.late import LateEncoder

NOTHING_NEW = """
import sys, polars as pl
from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.encoders import small
from tac_pipeline.encoders.late import LateEncoder
class Down:
    def read(self, uri, *, limit=None):
        raise OSError("the network is down")
missing = pl.DataFrame({"image_id": ["a"], "uri": ["a"], "size": [9], "version": ["1"]})
encoder = LateEncoder(small.NAME, small.PRETRAINED)
[batch] = encoded_batches(missing, Down(), encoder, known=NoKnownVectors(), batch_size=2, max_pixels=9, max_bytes=9)
print(batch.rows[0].error, batch.vectors.shape == (1, encoder.dim), "torch" in sys.modules)
"""


def test_it_is_the_same_encoder() -> None:
    late, plain = (
        LateEncoder(small.NAME, small.PRETRAINED, device="cpu"),
        open_clip_encoder(small.NAME, small.PRETRAINED, device="cpu"),
    )
    for name in ("fingerprint", "dim", "image_size", "resize_mode", "interpolation"):
        assert getattr(late, name) == getattr(plain, name)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, late.image_size, late.image_size), dtype=np.uint8)
    np.testing.assert_array_equal(late.encode_images(pixels), plain.encode_images(pixels))
    np.testing.assert_array_equal(
        late.encode_texts(["a cat"], batch_size=1), plain.encode_texts(["a cat"], batch_size=1)
    )
    options = {"templates": ["a {}"], "batch_size": 2}
    np.testing.assert_array_equal(late.encode_nouns(["cat"], **options), plain.encode_nouns(["cat"], **options))


def test_a_run_without_a_readable_image_does_not_load_it() -> None:
    told = subprocess.run([sys.executable, "-c", NOTHING_NEW], capture_output=True, text=True, check=True).stdout
    assert told == "cannot be read: the network is down True False\n"
