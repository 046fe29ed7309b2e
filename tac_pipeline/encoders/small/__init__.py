"""The small encoder inside the package: `model: tac-small`, `pretrained: drawn`.

An open_clip model with its own config, trained by scripts/train_small_clip.py on drawn pictures; MODEL_CARD.md says
what it is good for. Importing this imports neither torch nor open_clip.
"""

from __future__ import annotations

import functools
from pathlib import Path

from tac_pipeline.digest import file_sha256
from tac_pipeline.errors import EncoderError

NAME = "tac-small"
PRETRAINED = "drawn"
FOLDER = Path(__file__).parent
CONFIG_FILE = FOLDER / "config.json"
WEIGHTS_FILE = FOLDER / "weights.safetensors"
CHECKSUM_FILE = FOLDER / "weights.sha256"


@functools.lru_cache(maxsize=1)
def require_weights() -> Path:
    """The packaged weights; raises EncoderError when they are missing or changed."""
    remedy = f"Install tac-pipeline again, or fetch {WEIGHTS_FILE.name} again from its repository."
    try:
        wanted = CHECKSUM_FILE.read_text(encoding="ascii").split()[0]
        found = file_sha256(WEIGHTS_FILE)
    except (OSError, ValueError, IndexError) as error:
        raise EncoderError(
            f"the weights of {NAME} must be beside their checksum in {FOLDER}; they cannot be read: {error}. {remedy}"
        ) from error
    if found != wanted:
        raise EncoderError(
            f"{WEIGHTS_FILE} must have the SHA-256 {wanted[:12]}..., as {CHECKSUM_FILE.name} says; it has "
            f"{found[:12]}..., so it is damaged or not the packaged one. {remedy}"
        )
    return WEIGHTS_FILE
