"""Images and words to vectors for the clusterer, by an encoder of the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.estimator.running import bars, threads
from tac_pipeline.results.new_images import embed_images as embedded
from tac_pipeline.results.new_images import named_images
from tac_pipeline.settings.keys import EncoderSettings, Images, Nouns


def _default(section: Any, key: str) -> Any:
    return section.model_fields[key].default


MODEL, PRETRAINED = _default(EncoderSettings, "model"), _default(EncoderSettings, "pretrained")
BATCH_SIZE = _default(EncoderSettings, "batch_size")


def embed_images(
    images: Sequence[str | Path],
    *,
    model: str = MODEL,
    pretrained: str = PRETRAINED,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    unreadable: str = "raise",
    n_jobs: int | None = None,
    verbose: bool | int = True,
) -> FloatMatrix:
    """Image files to vectors, as a store embeds them.

    Parameters
    ----------
    images : sequence of path or URL
        Files in any format that a store reads.
    model, pretrained : str
        As `encoder.model` and `encoder.pretrained` of the settings file; `tac-small` and `drawn` need no download.
    device : str
        auto, cpu, cuda, cuda:N or mps.
    batch_size : int
    unreadable : {"raise", "nan"}
        What an image that cannot be read does: stop everything, or be a row of NaN.
    n_jobs : int, optional
        Threads; None leaves them as they are.
    verbose : bool or int
        Whether a bar is shown.

    Returns
    -------
    float32 (n_images, dim), unit rows, in the order given

    Raises
    ------
    InputError
        There are no images, or some cannot be read.
    EncoderError
        There is no such encoder, or its weights cannot be loaded.
    """
    places = [images] if isinstance(images, str | Path) else list(images)
    folders = [place for place in places if isinstance(place, str | Path) and Path(place).is_dir()]
    if folders:
        raise InputError(
            f"images must be files; {folders[0]} is a folder: give those in it, such as "
            f"sorted(Path({str(folders[0])!r}).rglob('*.jpg'))"
        )
    if not places:
        raise InputError("images must have at least one path; got none")
    if unreadable not in ("raise", "nan"):
        raise InputError(f"unreadable must be raise or nan; got {unreadable!r}")
    encoder = open_clip_encoder(model, pretrained, device=device)
    vectors, errors = [], []
    with threads(n_jobs), bars(verbose) as told:
        progress = told("images")
        for batch in embedded(
            named_images([str(place) for place in places]),
            encoder,
            batch_size=batch_size,
            max_pixels=_default(Images, "max_pixels"),
            max_bytes=_default(Images, "max_bytes"),
        ):
            rows = np.array(batch.vectors, dtype=np.float32)
            rows[[row.error is not None for row in batch.rows]] = np.nan
            vectors.append(rows)
            errors += [f"{row.image_id} ({row.error})" for row in batch.rows if row.error is not None]
            if errors and unreadable == "raise":
                raise InputError(
                    f"every image must be readable; these are not: {first_few(errors, 3)}. Leave them out, or give "
                    'unreadable="nan"'
                )
            if progress is not None:
                progress(sum(map(len, vectors)), len(places))
    return np.concatenate(vectors)


def embed_words(
    words: Sequence[str],
    *,
    model: str = MODEL,
    pretrained: str = PRETRAINED,
    templates: Sequence[str] | None = None,
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    n_jobs: int | None = None,
    verbose: bool | int = True,
) -> FloatMatrix:
    """Words to vectors, averaged over prompts, as a store encodes its nouns.

    Parameters
    ----------
    words : sequence of str
    model, pretrained, device, batch_size, n_jobs, verbose
        As for embed_images; it must be the encoder of the images.
    templates : sequence of str, optional
        Prompts with {} for the word; None is those of the settings file.

    Returns
    -------
    float32 (n_words, dim), unit rows, in the order given

    Raises
    ------
    InputError
        There are no words, or a template has no {}.
    EncoderError
        There is no such encoder, or its weights cannot be loaded.
    """
    given = [words] if isinstance(words, str) else list(words)
    if not given or not all(isinstance(word, str) for word in given):
        raise InputError("words must be a list of at least one string")
    encoder = open_clip_encoder(model, pretrained, device=device)
    with threads(n_jobs), bars(verbose) as told:
        return encoder.encode_nouns(
            given,
            templates=list(_default(Nouns, "templates") if templates is None else templates),
            batch_size=batch_size,
            progress=told("words"),
        )
