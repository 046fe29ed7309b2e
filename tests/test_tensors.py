"""Arrays as tensors."""

import warnings

import numpy as np
import pytest
import torch

from tac_pipeline import tensors
from tac_pipeline.tensors import group_sums, multiplies_bfloat16, or_on_the_cpu, tensor_of


def test_memory_is_shared_where_it_can_be() -> None:
    array = np.ones((2, 3), dtype=np.float32)
    tensor_of(array)[0, 0] = 5
    assert array[0, 0] == 5


def test_a_read_only_array_is_copied_without_a_warning() -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = tensor_of(array)
    tensor[0, 0] = 9
    assert array[0, 0] == 0
    assert tensor.dtype == torch.int64


def test_a_strided_array_becomes_contiguous() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    assert tensor_of(array).is_contiguous()
    np.testing.assert_array_equal(tensor_of(array).numpy(), array)


def test_torch_without_capabilities_means_float32(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert not multiplies_bfloat16()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    assert multiplies_bfloat16()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert not multiplies_bfloat16()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sums_of_groups_are_those_of_plain_addition_to_the_last_bit(kind: type) -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(5000, 7)).astype(kind)
    groups = generator.integers(0, 40, size=5000)
    groups[groups == 3] = 4
    plain = np.zeros((41, 7), dtype=kind)
    for row, group in zip(rows, groups, strict=True):
        plain[group] += row
    found = group_sums(rows, groups, n_groups=41)
    assert found.dtype == kind
    np.testing.assert_array_equal(found, plain)
    assert not found[[3, 40]].any()


def test_sums_in_the_order_of_groups_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "ORDERED_ROWS", 64)
    generator = np.random.default_rng(0)
    rows, groups = generator.normal(size=(1000, 5)), generator.integers(0, 300, size=1000)
    groups[groups < 9] = 9
    found = tensors._add_in_order(torch.zeros((302, 5), dtype=torch.float64), tensor_of(rows), tensor_of(groups))
    np.testing.assert_allclose(found.numpy(), group_sums(rows, groups, n_groups=302), atol=1e-12)


def test_what_does_not_fit_a_device_runs_on_the_cpu_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[str] = []

    def compute(device: str) -> int:
        tried.append(device)
        if device != "cpu":
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return 7

    assert or_on_the_cpu(compute, device="cuda:1", what="k-means") == 7
    assert tried == ["cuda:1", "cpu"]
    assert "k-means does not fit the memory of cuda:1 that is free: it runs on the CPU instead" in caplog.text
    caplog.clear()
    assert or_on_the_cpu(compute, device="cpu", what="k-means") == 7
    assert tried[2:] == ["cpu"]
    assert not caplog.text
