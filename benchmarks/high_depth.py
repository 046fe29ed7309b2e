"""Does the depth of a gray picture change what the encoder sees in it?

    python -m benchmarks.high_depth [--pictures 1500] [--neighbors 5]

Pictures of the demo in gray, saved with 8 bits, all 16 bits, 12 or 10 bits in 16, and as floats with a mark for no
value, go through the pipeline's decoding and its small encoder. For each: the share of pictures whose nearest others
are mostly of their kind, among pictures of the same depth and among those of 8 bits. The last row is how 12 bits in
16 looked when values were only divided by 257.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.picture_store import picture_bytes
from tac_pipeline.encoders import Encoder, open_clip_encoder
from tac_pipeline.sources.decoding import decode_image

BATCH = 64
Writer = Callable[[np.ndarray], bytes]


def main() -> None:
    """Print a row for each depth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--neighbors", type=int, default=5)
    asked = parser.parse_args()
    encoder = open_clip_encoder("tac-small", "drawn", device="cpu")
    kinds = [list(KINDS)[n % len(KINDS)] for n in range(asked.pictures)]
    pictures = [np.asarray(Image.open(io.BytesIO(picture_bytes(kind, n))).convert("L")) for n, kind in enumerate(kinds)]
    labels = np.unique(kinds, return_inverse=True)[1]
    plain = embed([WRITERS["8 bits"](picture) for picture in pictures], encoder)
    print(f"{asked.pictures:,} pictures of {len(KINDS)} kinds, {asked.neighbors} neighbors, right kind in %")
    print(f"{'':<34} {'own depth':>9} {'8 bits':>9} {'cosine to 8 bits':>17}")
    for name, write in WRITERS.items():
        vectors = embed([write(picture) for picture in pictures], encoder)
        own, other = (right_kind(vectors, among, labels, asked.neighbors) for among in (vectors, plain))
        cosine = float((vectors * plain).sum(axis=1).mean())
        print(f"{name:<34} {100 * own:>9.1f} {100 * other:>9.1f} {cosine:>17.3f}", flush=True)


def embed(files: list[bytes], encoder: Encoder) -> FloatMatrix:
    """One unit vector a file, by the pipeline's own decoding."""
    squares = np.stack(
        [
            decode_image(
                data,
                size=encoder.image_size,
                max_pixels=10_000_000,
                resize_mode=encoder.resize_mode,
                interpolation=encoder.interpolation,
            ).pixels
            for data in files
        ]
    )
    return np.concatenate([encoder.encode_images(squares[at : at + BATCH]) for at in range(0, len(squares), BATCH)])


def right_kind(vectors: FloatMatrix, among: FloatMatrix, labels: np.ndarray, count: int) -> float:
    """The share of pictures that the commonest kind of their nearest others is right for; a picture is not its own."""
    similarity = vectors @ among.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)[:, :count]
    votes = np.zeros((len(vectors), labels.max() + 1))
    # Nearer ones count a little more, so that there are no ties.
    for place in range(count):
        votes[np.arange(len(vectors)), labels[nearest[:, place]]] += 1 - place / 1000
    return float((votes.argmax(axis=1) == labels).mean())


def saved(values: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def with_no_value(gray: np.ndarray) -> bytes:
    """Floats from -50 to 1,000, with marks in one of a hundred places."""
    values = (gray.astype(np.float32) / 255 * 1050) - 50
    values.ravel()[::100] = -9999
    return saved(values, "TIFF")


WRITERS: dict[str, Writer] = {
    "8 bits": saved,
    "16 bits": lambda gray: saved(gray.astype(np.uint16) * 257),
    "12 bits in 16": lambda gray: saved(gray.astype(np.uint16) * 16),
    "10 bits in 16": lambda gray: saved(gray.astype(np.uint16) * 4),
    "12 bits in 16, TIFF": lambda gray: saved(gray.astype(np.uint16) * 16, "TIFF"),
    "floats, 1 % without a value": with_no_value,
    "12 bits in 16, divided by 257": lambda gray: saved(np.round(gray * 16.0 / 257).astype(np.uint8)),
}


if __name__ == "__main__":
    main()
