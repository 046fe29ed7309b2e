"""An open_clip encoder that imports nothing heavy before it is first used.

A run that finds no new image to encode needs neither torch nor a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.encoders.model_choice import ChosenModel, Precision, choose_model
from tac_pipeline.progress import Progress
from tac_pipeline.sources.decoding import Pixels

if TYPE_CHECKING:
    from tac_pipeline.encoders.clip_encoder import OpenClipEncoder


class LateEncoder(ChosenModel):
    """Follows the protocol Encoder; see open_clip_encoder for the parameters and what is raised.

    A device that does not exist is refused at the first image or text.
    """

    def __init__(
        self,
        model: str,
        pretrained: str | None,
        *,
        device: str = "auto",
        precision: Precision = "float",
        resize: int | None = None,
    ) -> None:
        super().__init__(choose_model(model, pretrained, precision=precision, resize=resize))
        self._device = device

    def encode_images(self, pixels: Pixels) -> FloatMatrix:
        """See Encoder."""
        return self._encoder.encode_images(pixels)

    def encode_nouns(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """See Encoder."""
        return self._encoder.encode_nouns(nouns, templates=templates, batch_size=batch_size, progress=progress)

    def average_prompts(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """See Encoder."""
        return self._encoder.average_prompts(nouns, templates=templates, batch_size=batch_size, progress=progress)

    def encode_texts(self, texts: Sequence[str], *, batch_size: int) -> FloatMatrix:
        """See Encoder."""
        return self._encoder.encode_texts(texts, batch_size=batch_size)

    def cut_texts(self, texts: Sequence[str]) -> list[str]:
        """See Encoder."""
        return self._encoder.cut_texts(texts)

    @cached_property
    def _encoder(self) -> OpenClipEncoder:
        from tac_pipeline.encoders.clip_encoder import OpenClipEncoder

        return OpenClipEncoder(self._choice, device=self._device)
