"""Encoders: they turn images and nouns into vectors of one space.

An encoder is any class that follows the protocol below; the package comes with one for open_clip models. Vectors that
are already computed need no encoder: they are read as tables (sources/tables.py). Importing this package imports
neither torch nor open_clip; calling its functions does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.progress import Progress
from tac_pipeline.sources.decoding import Interpolation, Pixels, ResizeMode

if TYPE_CHECKING:
    from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
    from tac_pipeline.encoders.model_choice import Precision
    from tac_pipeline.settings.keys import EncoderSettings


class Encoder(Protocol):
    """Images and texts to unit vectors of one space (paper steps 1 and 2)."""

    @property
    def fingerprint(self) -> str:
        """Model, weights, activation and preprocessing in a short text: equal texts mean vectors of one space."""
        ...

    @property
    def text_fingerprint(self) -> str:
        """The same for texts alone, which are encoded in float32 or its like whatever the images' precision."""
        ...

    @property
    def dim(self) -> int:
        """Width of the vectors."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the square that encode_images takes."""
        ...

    @property
    def resize_mode(self) -> ResizeMode:
        """How decode_image must make that square."""
        ...

    @property
    def interpolation(self) -> Interpolation:
        """The filter with which decode_image must resize."""
        ...

    def encode_images(self, pixels: Pixels) -> FloatMatrix:
        """Vectors of one batch: uint8 (n_images, 3, image_size, image_size) to float32 (n_images, dim), unit rows."""
        ...

    def encode_nouns(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """Vectors of nouns, averaged over prompts before normalizing: float32 (n_nouns, dim), unit rows."""
        ...

    def average_prompts(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """The same before normalizing, so that means over some prompts add up: float32 (n_nouns, dim)."""
        ...

    def encode_texts(self, texts: Sequence[str], *, batch_size: int) -> FloatMatrix:
        """Vectors of unchanged texts: float32 (n_texts, dim), unit rows."""
        ...

    def cut_texts(self, texts: Sequence[str]) -> list[str]:
        """Those of some texts that are longer than the text tower reads."""
        ...


def open_clip_encoder(
    model: str,
    pretrained: str | None,
    *,
    device: str = "auto",
    precision: Precision = "float",
    resize: int | None = None,
) -> OpenClipEncoder:
    """The encoder of an open_clip model; its weights are loaded when first used.

    Parameters
    ----------
    model : str
        Name of an open_clip model, or path of a config file (.json) as open_clip writes them.
    pretrained : str
        Tag of open_clip, path of a checkpoint (.safetensors, .pt, .pth, .bin), or ``random`` to try the pipeline.
    device : str
        auto (CUDA, else MPS, else the CPU), cpu, cuda, cuda:N or mps. Execution only: not part of the fingerprint.
    precision : {"float", "int8"}
        Of the image tower. int8 is part of the fingerprint: its vectors differ a little.
    resize : int, optional
        Side in pixels that an image's shorter side is brought to before its center is cut out, such as 256 for a model
        that sees 224; None is the model's own. Part of the fingerprint too.

    Raises
    ------
    EncoderError
        There is no such model, tag or file, or the activation does not fit the weights.
    TacError
        The device does not exist.
    """
    from tac_pipeline.encoders.clip_encoder import OpenClipEncoder
    from tac_pipeline.encoders.model_choice import choose_model

    return OpenClipEncoder(choose_model(model, pretrained, precision=precision, resize=resize), device=device)


def encoder_fingerprint(
    model: str, pretrained: str | None, *, precision: Precision = "float", resize: int | None = None
) -> str:
    """The fingerprint of open_clip_encoder's images, without loading the weights; raises the same errors.

    That of its texts is the one with the precision float.
    """
    from tac_pipeline.encoders.model_choice import choose_model

    return choose_model(model, pretrained, precision=precision, resize=resize).fingerprint


def encoder_of_settings(settings: EncoderSettings) -> Encoder:
    """The encoder that a section `encoder` names; nothing heavy is imported before it is first used.

    Parameters
    ----------
    settings : EncoderSettings
        Files of a project are resolved: Project.encoder.

    Raises
    ------
    EncoderError
        There is no such model, tag or file.
    """
    from tac_pipeline.encoders.late import LateEncoder

    device, second = settings.device, settings.second
    first = LateEncoder(
        settings.model,
        settings.pretrained,
        device=device,
        precision=settings.precision,
        resize=settings.resize,
    )
    if second.model is None:
        return first
    from tac_pipeline.encoders.second import JoinedEncoder, SecondModel

    return JoinedEncoder(first, SecondModel(second.model, second.pretrained, second.weight), device=device)
