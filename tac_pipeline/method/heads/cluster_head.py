"""Step 8: the two cluster heads, their soft assignments, and their file.

What must stay out: how the heads are trained (training.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from tac_pipeline.arrays import FloatMatrix, row_chunks
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, InputError
from tac_pipeline.method.values.published import INIT_STD
from tac_pipeline.tensors import tensor_of


class ClusterHead(nn.Module):
    """Vectors to soft assignments: Linear dim to width, BatchNorm, ReLU, Linear width to n_clusters, softmax.

    Its parameters are uninitialized: `build_head` draws them, `load_heads` reads them. As published the width is dim.

    Attributes
    ----------
    ceilings : float32 (n_clusters,), optional
        How sure an image of each cluster can be at most, because the cluster itself is not surely one.
    """

    ceilings: Tensor | None = None

    def __init__(self, dim: int, n_clusters: int, *, width: int | None = None) -> None:
        super().__init__()
        width = dim if width is None else width
        # Without storage at first: torch's own initialization would draw from the global random stream. Without a bias:
        # BatchNorm removes it again, its gradient is only rounding, and Adam would scale that up to whole steps.
        self.hidden = nn.Linear(dim, width, bias=False, device="meta").to_empty(device="cpu")
        self.norm = nn.BatchNorm1d(width)
        self.output = nn.Linear(width, n_clusters, device="meta").to_empty(device="cpu")

    def forward(self, rows: Tensor) -> Tensor:
        """Soft assignments, float32 (n, n_clusters), of rows, float32 (n, dim)."""
        return torch.softmax(self.logits(rows), dim=1)

    def logits(self, rows: Tensor) -> Tensor:
        """The logits of forward(rows); the first layer computes in the precision of the rows."""
        return self._output(self.norm(self._hidden(rows)))

    def forward_pair(self, own: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """The results of forward(own) and then forward(other), in one product for each layer.

        BatchNorm sees the two one after the other, so that each is normalized by its own statistics. The first layer
        computes in the precision of the rows, the rest in that of the parameters.
        """
        hidden = self._hidden(torch.cat([own, other]))
        normalized = torch.cat([self.norm(hidden[: len(own)]), self.norm(hidden[len(own) :])])
        soft = torch.softmax(self._output(normalized), dim=1)
        return soft[: len(own)], soft[len(own) :]

    @torch.no_grad()
    def settle(self, rows: Tensor, *, chunk_rows: int = 8192) -> None:
        """Set BatchNorm's statistics, which evaluation mode uses, to those of rows, float32 (n, dim), n >= 2."""
        mean, square = torch.zeros(2, self.norm.num_features, dtype=torch.float64)
        for chunk in row_chunks(len(rows), chunk_rows):
            variance, center = (
                part.cpu().double() for part in torch.var_mean(self.hidden(rows[chunk]), 0, correction=0)
            )
            share = (chunk.stop - chunk.start) / len(rows)
            mean += share * center
            square += share * (variance + center.square())
        self.norm.get_buffer("running_mean").copy_(mean)
        self.norm.get_buffer("running_var").copy_((square - mean.square()) * len(rows) / (len(rows) - 1))

    def _hidden(self, rows: Tensor) -> Tensor:
        weight = self.hidden.weight
        return nn.functional.linear(rows, weight.to(rows.dtype)).to(weight.dtype)

    def _output(self, normalized: Tensor) -> Tensor:
        output: Tensor = self.output(torch.relu(normalized))
        return output


@dataclass(frozen=True)
class Heads:
    """The image head, which assigns, and the text head, which taught it."""

    image_head: ClusterHead
    text_head: ClusterHead


def build_head(dim: int, n_clusters: int, *, generator: torch.Generator, width: int | None = None) -> ClusterHead:
    """A head with weights drawn from a normal distribution, standard deviation 0.02, and a bias of zero (step 8)."""
    head = ClusterHead(dim, n_clusters, width=width)
    nn.init.trunc_normal_(head.hidden.weight, std=INIT_STD, generator=generator)
    nn.init.trunc_normal_(head.output.weight, std=INIT_STD, generator=generator)
    nn.init.zeros_(head.output.bias)
    return head


def soft_assignment(head: ClusterHead, rows: FloatMatrix, *, chunk_rows: int = 8192) -> FloatMatrix:
    """Soft assignments in evaluation mode, on the device that holds the head (paper step 10).

    Parameters
    ----------
    head : ClusterHead
    rows : float32 (n_rows, dim), unit rows
        Image embeddings for an image head, text counterparts for a text head.
    chunk_rows : int
        Bounds memory; never changes the result.

    Returns
    -------
    float32 (n_rows, n_clusters), rows sum to 1

    Raises
    ------
    InputError
        The rows are not as wide as the rows that the head was trained on.
    """
    parts = soft_parts(head, rows, chunk_rows=chunk_rows)
    soft = np.empty((len(rows), len(head.output.weight)), dtype=np.float32)
    for chunk, part in zip(row_chunks(len(rows), chunk_rows), parts, strict=True):
        soft[chunk] = part
    return soft


def soft_parts(head: ClusterHead, rows: FloatMatrix, *, chunk_rows: int = 8192) -> Iterator[FloatMatrix]:
    """The soft assignments of some rows after the other: of thousands of clusters, those of all rows take gigabytes.

    Arguments and errors as in soft_assignment.
    """
    dim = head.hidden.weight.shape[1]
    if rows.shape[1] != dim:
        raise InputError(
            f"this head takes vectors of width {dim}; got width {rows.shape[1]}. Use the encoder it was trained with."
        )
    return _soft_parts(head, rows, chunk_rows=chunk_rows)


def _soft_parts(head: ClusterHead, rows: FloatMatrix, *, chunk_rows: int) -> Iterator[FloatMatrix]:
    device, was_training = head.output.weight.device, head.training
    head.eval()
    try:
        for chunk in row_chunks(len(rows), chunk_rows):
            with torch.inference_mode():
                soft: FloatMatrix = head(tensor_of(rows[chunk]).to(device)).cpu().numpy()
            yield soft
    finally:
        head.train(was_training)


def save_heads(path: Path, image_head: ClusterHead, text_head: ClusterHead) -> None:
    """Write both heads to one safetensors file; equal heads give equal bytes."""
    named = {"image_head": image_head, "text_head": text_head}
    tensors = {f"{name}.{key}": value for name, head in named.items() for key, value in head_tensors(head).items()}
    path.write_bytes(safetensors.torch.save(tensors))


def load_heads(path: Path) -> Heads:
    """Read both heads, in evaluation mode on the CPU; their widths come from the file.

    Raises
    ------
    ArtifactMissing
        There is no such file.
    ArtifactDamaged
        The file is cut short, is not a safetensors file, or lacks a tensor of the heads.
    """
    if not path.is_file():
        raise ArtifactMissing(f"there are no cluster heads at {path}; materialize cluster_heads")
    try:
        tensors = safetensors.torch.load(path.read_bytes())
        return Heads(*(head_of(_under(tensors, name)) for name in ("image_head", "text_head")))
    # RuntimeError: torch raises it for tensors that lack a name or have shapes that do not fit together.
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise ArtifactDamaged(
            f"{path} must hold two cluster heads; it cannot be read ({error}). Delete its folder and materialize "
            "cluster_heads again."
        ) from error


def _under(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def head_tensors(head: ClusterHead) -> dict[str, Tensor]:
    """All that a head is, on the CPU; head_of makes it again."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in head.state_dict().items()}
    return tensors if head.ceilings is None else {**tensors, "ceilings": head.ceilings.contiguous()}


def head_of(tensors: dict[str, Tensor]) -> ClusterHead:
    """The head of its tensors, in evaluation mode; its widths are theirs.

    Raises
    ------
    KeyError, ValueError, RuntimeError
        A tensor is missing, or the shapes do not fit together.
    """
    own = dict(tensors)
    n_clusters, width = own["output.weight"].shape
    head = ClusterHead(own["hidden.weight"].shape[1], n_clusters, width=width)
    head.ceilings = own.pop("ceilings", None)
    head.load_state_dict(own)
    return head.eval()
