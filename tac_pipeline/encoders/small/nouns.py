"""What the small encoder makes of WordNet's nouns, packaged, so that the demo encodes none.

Written by scripts/encode_small_nouns.py. The vectors are turned to their principal directions and rounded there, and
what is rounded compresses well. They are the means of the published templates; of one prompt alone this encoder makes
nearly the same (median cosine 0.999), so they also serve where one prompt is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.errors import ArtifactDamaged

NOUNS_FILE = Path(__file__).parent / "nouns.npz"
CHECKSUM_FILE = NOUNS_FILE.with_suffix(".sha256")
# Rounding step along each direction, of unit vectors: the rounded ones have a cosine of at least 0.998 to the exact.
STEP = 0.0125


def write_noun_vectors(vectors: FloatMatrix, nouns: Sequence[str], *, encoder: str, templates: Sequence[str]) -> None:
    """Write the file and its checksum; vectors are float32 (n_nouns, dim), unit rows."""
    mean = vectors.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov((vectors - mean).T))
    directions = directions.astype(np.float32)
    codes = np.rint((vectors - mean) @ directions / STEP)
    if np.abs(codes).max() > np.iinfo(np.int8).max:
        raise ValueError("a code does not fit into 8 bits; make STEP larger")
    made_for = json.dumps({"encoder": encoder, "templates": list(templates), "nouns": digest(list(nouns))})
    np.savez_compressed(
        NOUNS_FILE, codes=codes.astype(np.int8).T, directions=directions, mean=mean, made_for=np.array(made_for)
    )
    CHECKSUM_FILE.write_text(f"{file_sha256(NOUNS_FILE)}  {NOUNS_FILE.name}\n", encoding="ascii")


def packaged_noun_vectors(nouns: Sequence[str], *, encoder: str, templates: Sequence[str]) -> FloatMatrix | None:
    """The vectors of WordNet's nouns, float32 (n_nouns, dim), unit rows; None for another encoder or templates.

    Parameters
    ----------
    nouns : sequence of str
        All of WordNet's, as load_nouns lists them.
    encoder : str
        Fingerprint.

    Raises
    ------
    ArtifactDamaged
        The file is missing or changed.
    """
    remedy = f"Install tac-pipeline again, or fetch {NOUNS_FILE.name} again from its repository."
    try:
        wanted, found = CHECKSUM_FILE.read_text(encoding="ascii").split()[0], file_sha256(NOUNS_FILE)
        if found != wanted:
            raise ArtifactDamaged(
                f"{NOUNS_FILE} must have the SHA-256 {wanted[:12]}...; it has {found[:12]}... {remedy}"
            )
        with np.load(NOUNS_FILE, allow_pickle=False) as file:
            made_for = json.loads(str(file["made_for"]))
            if made_for != {"encoder": encoder, "templates": list(templates), "nouns": digest(list(nouns))}:
                return None
            return unit_rows((file["codes"].T * np.float32(STEP)) @ file["directions"].T + file["mean"])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ArtifactDamaged(
            f"{NOUNS_FILE} must be the packaged vectors; it cannot be read: {error}. {remedy}"
        ) from error
