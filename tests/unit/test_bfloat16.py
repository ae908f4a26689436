"""bfloat16 products by way of float32, as the CPU platform computes them where the processor has no instructions."""

import inspect

import pytest
import torch

from aer_openrlhf.platforms.cpu import bfloat16
from aer_openrlhf.platforms.cpu.bfloat16 import in_float32, patch_products

ULP = 2.0**-8  # half a unit in the last place of bfloat16, relative


def tensors(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*shape, generator=generator).to(dtype) for shape in ((33, 48), (20, 48), (20,)))  # type: ignore[return-value]


def test_the_product_is_the_exact_one_rounded_once_and_so_are_its_gradients() -> None:
    narrow = [tensor.requires_grad_() for tensor in tensors(torch.bfloat16)]
    exact = [tensor.detach().double().requires_grad_() for tensor in narrow]
    found = in_float32(torch.nn.functional.linear)(*narrow)
    wanted = torch.nn.functional.linear(*exact)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), wanted, rtol=ULP, atol=1e-5)
    for result in (found, wanted):
        result.sum().backward()
    for a, b in zip(narrow, exact, strict=True):
        assert a.grad is not None and a.grad.dtype == torch.bfloat16
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=ULP, atol=1e-5)


def test_bias_may_be_none_or_named_and_out_is_filled() -> None:
    x, weight, bias = tensors(torch.bfloat16)
    linear, mm = in_float32(torch.nn.functional.linear), in_float32(torch.mm)
    assert torch.equal(linear(x, weight, None), linear(x, weight))
    assert torch.equal(linear(x, weight, bias=bias), linear(x, weight, bias))
    out = torch.empty(33, 20, dtype=torch.bfloat16)
    assert mm(x, weight.t(), out=out) is out
    assert torch.equal(out, linear(x, weight))
    assert torch.equal(in_float32(torch.Tensor.__matmul__)(x, weight.t()), out)


def test_other_types_pass_as_they_are() -> None:
    x, weight, bias = tensors(torch.float32)
    linear = in_float32(torch.nn.functional.linear)
    assert torch.equal(linear(x, weight, bias), torch.nn.functional.linear(x, weight, bias))
    with pytest.raises(RuntimeError, match="dtype"):  # torch's own complaint about mixed types
        linear(x.bfloat16(), weight)


@pytest.mark.parametrize("has_instructions", [False, True])
def test_only_a_processor_without_instructions_is_patched(
    monkeypatch: pytest.MonkeyPatch, has_instructions: bool
) -> None:
    for owner, name in bfloat16.PRODUCTS:
        monkeypatch.setattr(owner, name, inspect.unwrap(getattr(owner, name)))
    stock = torch.matmul
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_instructions)
    patch_products()
    once = torch.matmul
    patch_products()
    assert torch.matmul is once
    assert (once is stock) == has_instructions
