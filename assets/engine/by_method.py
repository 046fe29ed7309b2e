"""A piece of the method, computed from artifacts: what it chooses from are settings, what it reads are assets above it.

An asset that stores a piece's outcome is declared `by_method`; the piece may read only the settings and assets that
the asset declares.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from assets.engine.step import Inputs, Step, Values
from tac_pipeline.method import load_method
from tac_pipeline.method.recipe import Piece
from tac_pipeline.progress import RateLog
from tac_pipeline.settings.keys import value_at

# The settings key behind each choice of a method.
KEYS = {
    "images_per_center": "semantic_centers.images_per_center",
    "n_centers": "semantic_centers.count",
    "nouns_per_center": "vocabulary.nouns_per_center",
    "tau": "retrieval.tau",
    "text_weight": "blend.text_weight",
    "neighbors": "neighbors.count",
    "members": "heads.members",
    "epochs": "heads.epochs",
    "batch_size": "heads.batch_size",
    "temperature": "heads.temperature",
    "balance_weight": "heads.balance_weight",
    "learning_rate": "heads.learning_rate",
    "seed": "seed",
    "device": "encoder.device",
}


class _Choices(Mapping[str, Any]):
    """The choices whose settings an asset declares, looked up when they are asked for."""

    def __init__(self, asset: Step, inputs: Inputs) -> None:
        declared = {key.split(".")[0] for key in asset.settings}
        self._settings = inputs.project.settings
        self._keys = {name: key for name, key in KEYS.items() if key.split(".")[0] in declared}

    def __getitem__(self, name: str) -> Any:
        value: Any = value_at(self._settings, self._keys[name])
        if name == "device":
            from tac_pipeline.encoders.devices import choose_device

            return choose_device(value)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True)
class KnownArtifacts:
    """What a piece may ask for, read from the artifacts above an asset."""

    asset: Step
    inputs: Inputs

    @property
    def choices(self) -> Mapping[str, Any]:
        """The choices whose settings the asset declares."""
        return _Choices(self.asset, self.inputs)

    def rows(self, name: str) -> int:
        """Rows of an asset's main table."""
        above = self._above(name)
        if above is None:
            raise TypeError(f"{self.asset.name} must declare {name}, whose rows its piece of the method counts")
        return self.inputs.rows(above)

    def result(self, name: str) -> Any:
        """What an asset holds for the method; a piece that is not stored is computed."""
        above = self._above(name)
        if above is None:
            return _piece(self.inputs, name).run(self)
        return self._loaded(above)

    def _loaded(self, above: Step) -> Any:
        if above.load is None:
            raise TypeError(f"{above.name} is read by the method and must declare load=")
        return above.load(self.inputs, above)

    def optional(self, name: str) -> Any:
        """What an asset holds that only some stores have; None in all others."""
        above = next((step for step in self.asset.optional if step.name == name), None)
        if above is None or name not in self.inputs.artifacts:
            return None
        return self._loaded(above)

    def progress(self, what: str) -> RateLog:
        """A line in the log now and then."""
        return self.inputs.progress(what)

    def _above(self, name: str) -> Step | None:
        return next((step for step in self.asset.upstream if step.name == name), None)


def _piece(inputs: Inputs, name: str) -> Piece:
    return load_method(inputs.project.settings.method).piece(name)


def method_values(asset: Step, inputs: Inputs) -> Values:
    """The values of the method's piece of an asset's name; where it works out none, the settings as written."""
    piece = _piece(inputs, asset.name)
    if piece.values is None:
        return asset.written(inputs.project.settings)
    return piece.values(KnownArtifacts(asset, inputs))


def compute_piece(asset: Step, inputs: Inputs) -> Any:
    """The outcome of the method's piece of an asset's name, for the values in inputs.values."""
    return _piece(inputs, asset.name).compute(KnownArtifacts(asset, inputs), inputs.values)
