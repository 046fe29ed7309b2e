"""What the small encoder has seen and what it has not; fixed before anything was trained or measured."""

from __future__ import annotations

from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.styles import STYLE_NAMES

# One from most families, chosen only by their names.
UNSEEN_KINDS = ("duck", "tractor", "palm", "church", "pear", "teapot")
UNSEEN_STYLES = ("woodcut",)
SEEN_KINDS = tuple(name for name in KINDS if name not in UNSEEN_KINDS)
SEEN_STYLES = tuple(name for name in STYLE_NAMES if name not in UNSEEN_STYLES)

# Stores use seeds from 0; training used its own seeds, from here on.
FIRST_TRAINING_SEED = 1_000_000_000
