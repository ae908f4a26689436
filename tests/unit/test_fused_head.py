"""The fused head against float64 autograd of the plain formula."""

import pytest
import torch

from aer_openrlhf.fused_head import fused_head, tile_width

TOKENS, VOCABULARY, HIDDEN = 37, 211, 24


def make_inputs(dtype, bias, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(TOKENS, HIDDEN, generator=generator).to(dtype).requires_grad_()
    weight = torch.randn(VOCABULARY, HIDDEN, generator=generator).mul(0.5).to(dtype).requires_grad_()
    offset = torch.randn(VOCABULARY, generator=generator).to(dtype).requires_grad_() if bias else None
    labels = torch.randint(0, VOCABULARY, (TOKENS,), generator=generator)
    upstream = torch.randn(2, TOKENS, generator=generator)
    return hidden, weight, offset, labels, upstream


def plain(hidden, weight, bias, labels, temperature):
    """In float64, from the same rounded inputs."""
    logits = torch.nn.functional.linear(hidden, weight, bias) / temperature
    log_probs = torch.log_softmax(logits, dim=-1)
    return log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1), -(log_probs.exp() * log_probs).sum(-1)


def relative_error(got, expected):
    return float((got.detach().double() - expected.detach()).norm() / expected.detach().norm())


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_values_and_gradients_are_those_of_the_plain_formula(dtype, tolerance, temperature, bias):
    hidden, weight, offset, labels, upstream = make_inputs(dtype, bias)
    inputs = [tensor for tensor in (hidden, weight, offset) if tensor is not None]
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    expected = plain(exact[0], exact[1], exact[2] if bias else None, labels, temperature)
    got = fused_head(hidden, weight, labels, bias=offset, temperature=temperature, memory_mb=0.05)
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == torch.float32
        assert relative_error(ours, theirs) < tolerance
    gradients = torch.autograd.grad(sum((g * u).sum() for g, u in zip(got, upstream, strict=True)), inputs)
    wanted = torch.autograd.grad(sum((g * u).sum() for g, u in zip(expected, upstream, strict=True)), exact)
    for ours, theirs in zip(gradients, wanted, strict=True):
        assert ours.dtype == dtype
        assert relative_error(ours, theirs) < tolerance


@pytest.mark.parametrize("only", [0, 1])
def test_one_output_alone_has_its_own_gradient(only):
    hidden, weight, _, labels, upstream = make_inputs(torch.float32, bias=False)
    exact = [hidden.detach().double().requires_grad_(), weight.detach().double().requires_grad_()]
    got = torch.autograd.grad((fused_head(hidden, weight, labels)[only] * upstream[only]).sum(), [hidden, weight])
    expected = plain(*exact, None, labels, 1.0)[only]
    for ours, theirs in zip(got, torch.autograd.grad((expected * upstream[only]).sum(), exact), strict=True):
        assert relative_error(ours, theirs) < 1e-5


def test_gradcheck_on_a_small_case():
    """The function works in float32 inside: loose tolerances, a wide step."""
    torch.manual_seed(0)
    hidden = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 6, 3])
    assert torch.autograd.gradcheck(
        lambda h, w: fused_head(h, w, labels, temperature=0.7), (hidden, weight), eps=1e-2, atol=2e-3, rtol=2e-2
    )


def test_nothing_depends_on_the_tiles():
    hidden, weight, _, labels, upstream = make_inputs(torch.float32, bias=False)

    def run(memory_mb):
        outputs = fused_head(hidden, weight, labels, memory_mb=memory_mb)
        loss = sum((output * u).sum() for output, u in zip(outputs, upstream, strict=True))
        return [*outputs, *torch.autograd.grad(loss, [hidden, weight])]

    assert tile_width(TOKENS, VOCABULARY, 0.01) == 64
    assert tile_width(TOKENS, VOCABULARY, 256) == VOCABULARY
    assert tile_width(1000, 150_000, 256) == 19_173  # 256 * 2**20 bytes over 14 for each of 1000 logits a column
    for narrow, whole in zip(run(0.01), run(256), strict=True):
        torch.testing.assert_close(narrow, whole, rtol=2e-6, atol=2e-6)


def test_without_entropy_the_log_probs_are_the_same_and_the_entropy_is_no_function():
    hidden, weight, _, labels, _ = make_inputs(torch.float32, bias=False)
    both, entropy = fused_head(hidden, weight, labels)
    alone, nothing = fused_head(hidden, weight, labels, with_entropy=False)
    assert torch.equal(both, alone)
    assert bool((entropy > 0).all()) and bool((nothing == 0).all())
    with_entropy = torch.autograd.grad(both.sum(), hidden)[0]
    without = torch.autograd.grad((alone + nothing).sum(), hidden)[0]
    assert torch.equal(with_entropy, without)


def test_extreme_logits_stay_finite():
    hidden = torch.tensor([[300.0], [-300.0], [0.0]], requires_grad=True)
    weight = torch.linspace(-1, 1, 200).unsqueeze(-1).requires_grad_()
    log_probs, entropy = fused_head(hidden, weight, torch.tensor([199, 199, 7]), memory_mb=0.001)
    assert entropy[2].item() == pytest.approx(torch.tensor(200.0).log().item(), rel=1e-6)
    assert log_probs[1].item() == pytest.approx(
        -600 - torch.exp(-3.0 * torch.arange(200) * 2 / 1.99).sum().log().item(), rel=1e-3
    )
    for gradient in torch.autograd.grad((log_probs + entropy).sum(), [hidden, weight]):
        assert bool(gradient.isfinite().all())


def test_what_is_frozen_gets_no_gradient_and_the_others_keep_theirs():
    inputs = dict(zip(("hidden", "weight", "bias"), make_inputs(torch.float32, bias=True)[:3], strict=True))
    labels = make_inputs(torch.float32, bias=True)[3]

    def gradients(**frozen):
        for tensor in inputs.values():
            tensor.grad = None
        sum(output.sum() for output in fused_head(labels=labels, **inputs | frozen)).backward()
        return {name: tensor.grad for name, tensor in inputs.items()}

    everything = gradients()
    for name, tensor in inputs.items():
        found = gradients(**{name: tensor.detach()})
        assert found.pop(name) is None
        for other, gradient in found.items():
            assert torch.equal(gradient, everything[other])
