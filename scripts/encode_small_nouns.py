"""Write the packaged noun vectors of the small encoder: `python -m scripts.encode_small_nouns` (minutes).

Run it again when the encoder's weights, the published templates or WordNet's nouns change.
"""

from __future__ import annotations

import numpy as np

from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.encoders.small import NAME, PRETRAINED
from tac_pipeline.encoders.small.nouns import NOUNS_FILE, packaged_noun_vectors, write_noun_vectors
from tac_pipeline.settings.keys import PUBLISHED_TEMPLATES
from tac_pipeline.wordnet import load_nouns


def main() -> None:
    """Encode, write, and say how near the packaged vectors are."""
    nouns = load_nouns()["noun"].to_list()
    encoder = open_clip_encoder(NAME, PRETRAINED, device="cpu")
    made_for = {"encoder": encoder.fingerprint, "templates": PUBLISHED_TEMPLATES}
    vectors = encoder.encode_nouns(nouns, templates=PUBLISHED_TEMPLATES, batch_size=64)
    write_noun_vectors(vectors, nouns, **made_for)
    packaged = packaged_noun_vectors(nouns, **made_for)
    assert packaged is not None
    near = (packaged * vectors).sum(axis=1)
    print(
        f"{NOUNS_FILE}: {len(nouns):,} nouns, {NOUNS_FILE.stat().st_size / 1e6:.1f} MB; cosine to the exact vectors: "
        f"median {np.median(near):.5f}, lowest {near.min():.5f}"
    )


if __name__ == "__main__":
    main()
