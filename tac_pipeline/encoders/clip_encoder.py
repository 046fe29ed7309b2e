"""The encoder of this package: any model that open_clip can build.

What must stay out: how a model is made fast (loaded_model.py), decoding images and batching over a store.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from tac_pipeline.arrays import FloatMatrix, row_chunks, unit_rows
from tac_pipeline.encoders.devices import choose_device
from tac_pipeline.encoders.loaded_model import LoadedModel, load
from tac_pipeline.encoders.model_choice import ChosenModel, ModelChoice
from tac_pipeline.encoders.prompts import SLOT, require_templates
from tac_pipeline.errors import InputError
from tac_pipeline.progress import Progress
from tac_pipeline.sources.decoding import Pixels

# A GPU waits for the launches of small batches: in batches of 64 it encodes an eighth of the nouns a second.
GPU_PROMPTS = 1024


def prompts_at_once(batch_size: int, device: torch.device) -> int:
    """The prompts that run at once where batch_size is asked for."""
    return max(batch_size, GPU_PROMPTS) if device.type == "cuda" else batch_size


class OpenClipEncoder(ChosenModel):
    """Images and texts to unit vectors by an open_clip model (paper steps 1 and 2); follows the protocol Encoder.

    The model is loaded when it is first needed. Not for use by several threads at once.

    Parameters
    ----------
    choice : ModelChoice
        The model and its weights.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    """

    def __init__(self, choice: ModelChoice, *, device: str = "auto") -> None:
        super().__init__(choice)
        self._device = torch.device(choose_device(device))

    @functools.cached_property
    def _loaded(self) -> LoadedModel:
        return load(self._choice, self._device)

    @torch.inference_mode()
    def encode_images(self, pixels: Pixels) -> FloatMatrix:
        """Vectors of one batch of images (paper step 1).

        Parameters
        ----------
        pixels : uint8 (n_images, 3, image_size, image_size)
            As decode_image gives them; an array or a tensor.

        Returns
        -------
        float32 (n_images, dim), unit rows

        Raises
        ------
        InputError
            Another shape or dtype.
        EncoderError
            The model cannot be loaded, or gives NaN or infinity.
        """
        batch = torch.as_tensor(pixels)
        expected = (3, self.image_size, self.image_size)
        if batch.dtype != torch.uint8 or batch.ndim != 4 or tuple(batch.shape[1:]) != expected:
            wanted = f"uint8 (n_images, {', '.join(map(str, expected))})"
            raise InputError(f"images must be {wanted}; got {str(batch.dtype)[6:]} {tuple(batch.shape)}")
        if not len(batch):
            return np.empty((0, self.dim), dtype=np.float32)
        margin = (self.image_size - self._choice.preprocessing.size) // 2
        seen = batch[:, :, margin : self.image_size - margin, margin : self.image_size - margin] if margin else batch
        return unit_rows(self._loaded.image_vectors(seen.contiguous()))

    def encode_nouns(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """One vector for each noun: the mean over its prompts, then unit length (paper step 2).

        Returns float32 (n_nouns, dim), unit rows; see average_prompts for the rest.
        """
        means = self.average_prompts(nouns, templates=templates, batch_size=batch_size, progress=progress)
        return unit_rows(means) if len(means) else means

    @torch.inference_mode()
    def average_prompts(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """The mean vector of each noun's prompts, as the text tower gives them.

        Parameters
        ----------
        nouns : sequence of str
        templates : sequence of str
            Prompts with {} where the noun goes.
        batch_size : int
            Prompts run at once, on CUDA at least GPU_PROMPTS; changes the result only by rounding.
        progress : callable, optional
            Takes nouns done and nouns in all.

        Returns
        -------
        float32 (n_nouns, dim), not of unit length, in the order of the nouns

        Raises
        ------
        InputError
            No template, or one without exactly one {}.
        EncoderError
            The model cannot be loaded, or gives NaN or infinity.
        """
        require_templates(templates)
        means = np.empty((len(nouns), self.dim), dtype=np.float32)
        if not len(nouns):
            return means
        short_way = self._loaded.short_way
        pieces = short_way.prompts.noun_pieces(nouns) if short_way else [[] for _ in nouns]
        # Prompts of similar length run together, so that batches need little padding.
        order = np.argsort([len(piece) for piece in pieces], kind="stable")
        for rows in row_chunks(len(nouns), prompts_at_once(batch_size, self._device)):
            chosen = order[rows]
            chunk, chunk_pieces = [nouns[n] for n in chosen], [pieces[n] for n in chosen]
            total = np.zeros((len(chosen), self.dim), dtype=np.float32)
            for template in templates:
                total += self._prompt_vectors(template, chunk, chunk_pieces)
            means[chosen] = total / len(templates)
            if progress is not None:
                progress(rows.stop, len(nouns))
        return means

    def _prompt_vectors(self, template: str, nouns: Sequence[str], pieces: Sequence[list[int]]) -> FloatMatrix:
        short_way = self._loaded.short_way
        if short_way is None:
            return self._loaded.plain_vectors([template.replace(SLOT, noun) for noun in nouns])
        return self._loaded.token_vectors(short_way.tower, short_way.prompts.prompt_rows(template, nouns, pieces))

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str], *, batch_size: int) -> FloatMatrix:
        """Vectors of unchanged texts: float32 (n_texts, dim), unit rows; raises EncoderError as encode_nouns does."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if not len(texts):
            return vectors
        short_way = self._loaded.short_way
        tokens = short_way.prompts.text_rows(texts) if short_way else [[] for _ in texts]
        order = np.argsort([len(row) for row in tokens], kind="stable")
        for rows in row_chunks(len(texts), prompts_at_once(batch_size, self._device)):
            chosen = order[rows]
            if short_way is None:
                found = self._loaded.plain_vectors([texts[n] for n in chosen])
            else:
                found = self._loaded.token_vectors(short_way.tower, [tokens[n] for n in chosen])
            vectors[chosen] = unit_rows(found)
        return vectors

    def cut_texts(self, texts: Sequence[str]) -> list[str]:
        """Those of some texts that are longer than the text tower reads: the tokenizer cuts their ends off."""
        return self._loaded.cut_texts(texts)
