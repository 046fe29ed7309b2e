"""The store that tac.yaml at the top of the project describes."""

from pathlib import Path

from assets.orchestration.build import build_definitions

defs = build_definitions(Path(__file__).parents[2] / "tac.yaml")
