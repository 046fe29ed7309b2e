"""A second image model beside CLIP's: neighbors and groups see both, words know CLIP's part alone.

An image's vector is CLIP's and the second one's, end to end, each scaled so that the whole has unit length. A word's is
CLIP's and zeros, so the cosine of an image and a word is CLIP's own, times a constant. The model is one of timm's, such
as DINOv2; it reads the same pixels. What must stay out: how vectors are used.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.digest import file_sha256
from tac_pipeline.encoders.devices import choose_device
from tac_pipeline.encoders.late import LateEncoder
from tac_pipeline.encoders.model_choice import CHECKPOINT_SUFFIXES, RANDOM_SEED, near_matches
from tac_pipeline.errors import EncoderError, TacWarning, first_few
from tac_pipeline.progress import Progress
from tac_pipeline.sources.decoding import Interpolation, Pixels, ResizeMode

if TYPE_CHECKING:
    import torch

RANDOM = "random"


@dataclass(frozen=True)
class SecondModel:
    """An image model of timm, named but not loaded.

    Attributes
    ----------
    name : str
        Such as vit_base_patch14_dinov2.lvd142m; the part after the dot is the tag of its weights.
    pretrained : str or None
        A checkpoint file, `random`, or None for the weights of the tag.
    weight : float
        Its share of the squared length of a joined vector, between 0 and 1.
    """

    name: str
    pretrained: str | None = None
    weight: float = 0.5


class JoinedEncoder:
    """An encoder and a second image model as one; follows the protocol Encoder, and loads nothing before it is used.

    Parameters
    ----------
    first : LateEncoder
    second : SecondModel
    device : str
        auto, cpu, cuda, cuda:N or mps.

    Raises
    ------
    EncoderError
        From what needs it: there is no such model or file, or it cannot see images of the first one's size.
    """

    def __init__(self, first: LateEncoder, second: SecondModel, *, device: str = "auto") -> None:
        self._first, self._second, self._device = first, second, device
        if not 0 < second.weight < 1:
            raise EncoderError(f"encoder.second.weight must be between 0 and 1; got {second.weight}")
        self._shares = (np.float32((1 - second.weight) ** 0.5), np.float32(second.weight**0.5))

    @property
    def fingerprint(self) -> str:
        """Of image vectors: both models, their share, and how the first one sees images."""
        return self.text_fingerprint + self._first.fingerprint.removeprefix(self._first.text_fingerprint)

    @cached_property
    def text_fingerprint(self) -> str:
        """Of text vectors, which end in zeros where images have the second model's vector."""
        second = self._second
        if second.pretrained is None:
            weights = "tag"
        elif second.pretrained == RANDOM:
            weights = f"random-{RANDOM_SEED}"
        else:
            weights = f"sha256-{file_sha256(_require_file(Path(second.pretrained)))[:16]}"
        return f"{self._first.text_fingerprint}+timm:{second.name}:{weights}:{second.weight:g}"

    @property
    def dim(self) -> int:
        """Width of the vectors: of both together."""
        return self._first.dim + self._extra

    @property
    def image_size(self) -> int:
        """See Encoder."""
        return self._first.image_size

    @property
    def resize_mode(self) -> ResizeMode:
        """See Encoder."""
        return self._first.resize_mode

    @property
    def interpolation(self) -> Interpolation:
        """See Encoder."""
        return self._first.interpolation

    def encode_images(self, pixels: Pixels) -> FloatMatrix:
        """See Encoder."""
        one, other = self._shares
        return np.hstack([one * self._first.encode_images(pixels), other * self._loaded(pixels)])

    def encode_nouns(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """See Encoder."""
        return self._padded(
            self._first.encode_nouns(nouns, templates=templates, batch_size=batch_size, progress=progress)
        )

    def average_prompts(
        self, nouns: Sequence[str], *, templates: Sequence[str], batch_size: int, progress: Progress | None = None
    ) -> FloatMatrix:
        """See Encoder."""
        return self._padded(
            self._first.average_prompts(nouns, templates=templates, batch_size=batch_size, progress=progress)
        )

    def encode_texts(self, texts: Sequence[str], *, batch_size: int) -> FloatMatrix:
        """See Encoder."""
        return self._padded(self._first.encode_texts(texts, batch_size=batch_size))

    def cut_texts(self, texts: Sequence[str]) -> list[str]:
        """See Encoder."""
        return self._first.cut_texts(texts)

    def require_second(self) -> None:
        """Check, without loading or fetching anything, that the second model's weights are there, or within reach.

        Raises
        ------
        EncoderError
            There is no such model, it cannot see images of the first one's size, its file is damaged or of another
            model, or the weights of its tag are neither on this machine nor within reach.
        """
        second, size = self._second, self._first.image_size
        own = _described(second.name, size)[1]
        if second.pretrained is None:
            _require_tag(second.name)
        elif second.pretrained != RANDOM:
            _require_tensors(second.name, own, _require_file(Path(second.pretrained)))

    @cached_property
    def _extra(self) -> int:
        return _described(self._second.name, self._first.image_size)[0]

    def _padded(self, vectors: FloatMatrix) -> FloatMatrix:
        return np.hstack([vectors, np.zeros((len(vectors), self._extra), dtype=np.float32)])

    @cached_property
    def _loaded(self) -> _LoadedSecond:
        # The width is asked first: it refuses a wrong name in the plainest words.
        _ = self._extra
        return _LoadedSecond(self._second, self._first.image_size, choose_device(self._device))


class _LoadedSecond:
    """The second model, ready to run in float32."""

    def __init__(self, second: SecondModel, size: int, device: str) -> None:
        import torch

        self._name, self._device = second.name, torch.device(device)
        self._model = _load(second, size).to(self._device)
        mean, std = _normalization(second.name)
        self._mean, self._std = (255 * torch.tensor(each, device=self._device).view(1, 3, 1, 1) for each in (mean, std))

    def __call__(self, pixels: Pixels) -> FloatMatrix:
        """Uint8 (n_images, 3, size, size) to float32 (n_images, width), unit rows."""
        import torch

        with torch.inference_mode():
            seen = torch.as_tensor(pixels).to(self._device).float().sub_(self._mean).div_(self._std)
            vectors = torch.nn.functional.normalize(self._model(seen).float(), dim=1)
        found: FloatMatrix = vectors.cpu().numpy()
        if not np.isfinite(found).all():
            raise EncoderError(f"vectors must be finite; {self._name} gives NaN or infinity: fetch its weights again.")
        return found


def _require_tensors(name: str, own: frozenset[str], path: Path) -> None:
    from tac_pipeline.encoders.weights import tensor_shapes

    # timm renames some of its models' tensors as it reads them: that all fit is known only then.
    found = tensor_shapes(path)
    if not own & found.keys():
        raise EncoderError(
            f"encoder.second.pretrained must hold the tensors of {name}; {path} holds {first_few(list(found), 3)}. Set "
            "encoder.second.model to the model that it was saved from."
        )


def _require_tag(name: str) -> None:
    import huggingface_hub
    import timm

    from tac_pipeline.encoders.weights import unreachable

    stated = timm.get_pretrained_cfg(name)
    repo = "" if stated is None else stated.hf_hub_id or ""
    url = "" if stated is None else str(stated.url or "")
    if stated is None or not (repo or url):
        raise EncoderError(
            f"timm has no weights for {name}: set encoder.second.pretrained to a file, or encoder.second.model to a "
            "model with a tag"
        )
    if repo:
        names = [stated.hf_hub_filename] if stated.hf_hub_filename else ["model.safetensors", "pytorch_model.bin"]
        if any(isinstance(huggingface_hub.try_to_load_from_cache(repo, each), str) for each in names):
            return
        url = f"{huggingface_hub.constants.ENDPOINT}/{repo}/resolve/main/{names[0]}"
    reason = unreachable(url)
    if reason is not None:
        file = url.rpartition("/")[2]
        raise EncoderError(
            f"the weights of {name} (encoder.second) must be on this machine or within reach; they are not in the "
            f"cache, and {url} gave: {reason}. Fetch {file} from there where there is a connection, and set "
            f"`encoder.second.pretrained: /path/to/{file}`."
        )


def _load(second: SecondModel, size: int) -> torch.nn.Module:
    import torch

    try:
        if second.pretrained == RANDOM:
            warnings.warn(f"the weights of {second.name} are random: good for trying alone", TacWarning, stacklevel=2)
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(RANDOM_SEED)
                model = _create(second.name, size, pretrained=False)
        elif second.pretrained is None:
            model = _create(second.name, size, pretrained=True)
        else:
            # In place of the tag's file, so that positions are fitted to the size; timm reads it with weights_only.
            file = {"file": str(_require_file(Path(second.pretrained)))}
            model = _create(second.name, size, pretrained=True, pretrained_cfg_overlay=file)
    except EncoderError:
        raise
    except Exception as error:
        # Every exception: timm, the hub and damaged files raise many kinds.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise EncoderError(
            f"the weights of {second.name} (encoder.second) cannot be had: {reason}. Fetch them where there is a "
            "connection, and set encoder.second.pretrained to the file."
        ) from error
    loaded: torch.nn.Module = model.eval().requires_grad_(False)
    return loaded


def _require_file(path: Path) -> Path:
    if path.suffix not in CHECKPOINT_SUFFIXES or not path.is_file():
        raise EncoderError(
            f"encoder.second.pretrained must be a checkpoint file ({', '.join(CHECKPOINT_SUFFIXES)}), `random`, or "
            f"null for the weights of the model's tag; got {path}"
        )
    return path


@functools.cache
def _described(name: str, size: int) -> tuple[int, frozenset[str]]:
    """The width of a model's vectors and its tensors; on a device without memory, so that nothing is loaded."""
    import timm
    import torch

    if not timm.is_model(name):
        raise EncoderError(
            f"encoder.second.model must be a model of timm; {name!r} is none: {near_matches(name, timm.list_models())}"
        )
    try:
        with torch.device("meta"):
            model = _create(name, size, pretrained=False).eval()
            found = model(torch.zeros(1, 3, size, size))
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise EncoderError(
            f"encoder.second.model must see images of {size} x {size} pixels, which encoder.model sees; {name} does "
            f"not: {' '.join(str(error).split())[:160]}"
        ) from error
    return int(found.shape[1]), frozenset(model.state_dict())


def _create(name: str, size: int, **options: Any) -> torch.nn.Module:
    """A model of timm without its classes, for images of one size; convolutions take any, and are not told."""
    import timm

    try:
        return timm.create_model(name, num_classes=0, img_size=size, **options)
    except TypeError:
        return timm.create_model(name, num_classes=0, **options)


def _normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    import timm

    stated = timm.get_pretrained_cfg(name)
    if stated is None:
        raise EncoderError(f"timm does not say how {name} sees colors: name another for encoder.second.model")
    return tuple(map(float, stated.mean)), tuple(map(float, stated.std))
