"""The cluster heads: their formula, their beginnings, and their file."""

import copy

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, InputError
from tac_pipeline.method.heads.cluster_head import ClusterHead, build_head, load_heads, save_heads, soft_assignment


def trained_like(dim: int, n_clusters: int, seed: int) -> ClusterHead:
    """A head with a BatchNorm that has seen data and with biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    head = build_head(dim, n_clusters, generator=generator)
    with torch.no_grad():
        for tensor in head.parameters():
            tensor.add_(0.3 * torch.randn(tensor.shape, generator=generator))
        for _ in range(3):
            head(torch.randn(20, dim, generator=generator))
    return head


def plain_soft(head: ClusterHead, rows: np.ndarray) -> np.ndarray:
    """Step 8 in evaluation mode, in float64."""
    own = {name: tensor.numpy().astype(np.float64) for name, tensor in head.state_dict().items()}
    hidden = rows @ own["hidden.weight"].T
    scaled = (hidden - own["norm.running_mean"]) / np.sqrt(own["norm.running_var"] + head.norm.eps)
    active = np.maximum(scaled * own["norm.weight"] + own["norm.bias"], 0)
    logits = active @ own["output.weight"].T + own["output.bias"]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@given(n_rows=st.integers(1, 20), chunk_rows=st.integers(1, 25), seed=st.integers(0, 30))
def test_soft_assignments_equal_the_plain_version_in_any_chunks(n_rows, chunk_rows, seed) -> None:
    head, rows = trained_like(6, 4, seed), random_unit_rows(n_rows, 6, seed)
    soft = soft_assignment(head, rows, chunk_rows=chunk_rows)
    np.testing.assert_allclose(soft, plain_soft(head, rows), atol=1e-5)
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
    assert soft.dtype == np.float32


@pytest.mark.parametrize("training", [True, False])
def test_assigning_leaves_the_head_as_it_was(training) -> None:
    head = trained_like(6, 4, 0).train(training)
    before = copy.deepcopy(head.state_dict())
    soft_assignment(head, random_unit_rows(9, 6, 0))
    assert head.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in head.state_dict().items())


def test_a_pair_equals_two_separate_calls_gradients_and_statistics_included() -> None:
    together, apart = trained_like(6, 4, 0).double(), trained_like(6, 4, 0).double()
    generator = torch.Generator().manual_seed(1)
    own, other = torch.randn(2, 10, 6, generator=generator, dtype=torch.float64)
    # Different weights, so that the gradients show it when the two are mixed up.
    weights = torch.randn(2, 10, 4, generator=generator, dtype=torch.float64)
    pair = together.forward_pair(own, other + 2)
    separate = apart(own), apart(other + 2)
    for head, outputs in ((together, pair), (apart, separate)):
        sum((weight * output).sum() for weight, output in zip(weights, outputs, strict=True)).backward()
        assert head.norm.num_batches_tracked == 5
    for joint, single in zip(pair, separate, strict=True):
        torch.testing.assert_close(joint, single)
    for name, tensor in together.named_parameters():
        torch.testing.assert_close(tensor.grad, dict(apart.named_parameters())[name].grad)
    for name, tensor in together.named_buffers():
        torch.testing.assert_close(tensor, dict(apart.named_buffers())[name])


@given(n_rows=st.integers(2, 30), chunk_rows=st.integers(1, 35), seed=st.integers(0, 30))
def test_settled_statistics_are_those_of_all_rows_in_any_chunks(n_rows, chunk_rows, seed) -> None:
    head, rows = trained_like(6, 4, seed), torch.from_numpy(random_unit_rows(n_rows, 6, seed))
    head.settle(rows, chunk_rows=chunk_rows)
    hidden = (rows.double() @ head.hidden.weight.double().T).detach()
    torch.testing.assert_close(head.norm.running_mean.double(), hidden.mean(dim=0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(head.norm.running_var.double(), hidden.var(dim=0), rtol=1e-4, atol=1e-6)


def test_a_new_head_has_the_published_beginnings() -> None:
    head = build_head(256, 40, generator=torch.Generator().manual_seed(0))
    for layer in (head.hidden, head.output):
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert layer.weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert not head.output.bias.any()
    assert soft_assignment(head, random_unit_rows(5, 256, 0)).shape == (5, 40)


def test_only_the_generator_decides_a_new_head() -> None:
    def weights(seed: int) -> torch.Tensor:
        return build_head(5, 3, generator=torch.Generator().manual_seed(seed)).hidden.weight

    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = weights(0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_vectors_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match="takes vectors of width 6; got width 5"):
        soft_assignment(trained_like(6, 4, 0), random_unit_rows(3, 5, 0))


def test_both_heads_survive_their_file_bit_by_bit(tmp_path) -> None:
    image_head, text_head = trained_like(6, 4, 0), trained_like(7, 4, 1)
    save_heads(tmp_path / "heads.safetensors", image_head, text_head)
    loaded = load_heads(tmp_path / "heads.safetensors")
    for saved, read in ((image_head, loaded.image_head), (text_head, loaded.text_head)):
        assert not read.training
        for name, tensor in saved.state_dict().items():
            assert torch.equal(tensor, read.state_dict()[name])
    rows = random_unit_rows(9, 6, 0)
    np.testing.assert_array_equal(soft_assignment(loaded.image_head, rows), soft_assignment(image_head, rows))


def test_equal_heads_give_equal_bytes(tmp_path) -> None:
    for name in ("a", "b"):
        save_heads(tmp_path / name, trained_like(6, 4, 0), trained_like(6, 4, 1))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def _cut(content: bytes) -> bytes:
    return content[:-20]


def _without_the_text_head(content: bytes) -> bytes:
    tensors = safetensors.torch.load(content)
    return safetensors.torch.save({name: tensor for name, tensor in tensors.items() if name.startswith("image")})


def _without_a_bias(content: bytes) -> bytes:
    tensors = safetensors.torch.load(content)
    del tensors["image_head.output.bias"]
    return safetensors.torch.save(tensors)


def _of_two_widths(content: bytes) -> bytes:
    tensors = safetensors.torch.load(content)
    tensors["text_head.norm.running_mean"] = torch.zeros(5)
    return safetensors.torch.save(tensors)


def _flat(content: bytes) -> bytes:
    tensors = safetensors.torch.load(content)
    tensors["text_head.output.weight"] = torch.zeros(5)
    return safetensors.torch.save(tensors)


@pytest.mark.parametrize(
    "damage",
    [lambda _: b"", lambda _: b"no tensors", _cut, _without_the_text_head, _without_a_bias, _of_two_widths, _flat],
)
def test_damaged_heads_are_named(tmp_path, damage) -> None:
    path = tmp_path / "heads.safetensors"
    save_heads(path, trained_like(6, 4, 0), trained_like(6, 4, 1))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtifactDamaged, match=r"heads\.safetensors must hold two cluster heads"):
        load_heads(path)


def test_missing_heads_name_the_asset(tmp_path) -> None:
    with pytest.raises(ArtifactMissing, match="materialize cluster_heads"):
        load_heads(tmp_path / "heads.safetensors")


def test_ceilings_are_kept_with_the_image_head(tmp_path) -> None:
    head = trained_like(6, 4, 0)
    head.ceilings = torch.tensor([0.5, 1.0, 0.25, 0.75])
    save_heads(tmp_path / "heads.safetensors", head, trained_like(6, 4, 1))
    loaded = load_heads(tmp_path / "heads.safetensors")
    assert torch.equal(loaded.image_head.ceilings, head.ceilings)
    assert loaded.text_head.ceilings is None
