"""Every method on OpenRLHF's real policy rank: stock bit for bit where its strength is 0, and not where it is not."""

import torch

from aer_openrlhf.methods.registry import METHODS


def flags(method, **settings):
    chosen = ["--aer.enable", "--aer.method", method]
    prefix = "--aer" if method == "aer" else f"--aer.{method}"
    return [*chosen, *(part for name, value in settings.items() for part in (f"{prefix}.{name}", str(value)))]


OFF = [
    flags("aer", alpha_max=0, tau=0.9, eta=1),
    flags("fixed", coef=0),
    flags("skywork", delta=0, target_entropy=9),
    flags("aent", coef_init=0, coef_min=0, coef_max=0),
    flags("siren", coef=0),
    flags("clip_cov", ratio=0),
    flags("kl_cov", coef=0),
    flags("entropy_advantage", alpha=0),
    flags("high_entropy_tokens", share=1),
]
ON = [
    flags("aer", alpha_max=0.5, tau=0.9, eta=1, rho=1),
    flags("fixed", coef=0.37),
    flags("skywork", delta=0.3, coef_max=0.5, target_entropy=9),
    flags("aent", coef_init=0.37, coef_max=0.5),
    flags("siren", coef=0.1),
    flags("clip_cov", ratio=0.5, cov_low=0),
    flags("kl_cov", ratio=0.5),
    flags("entropy_advantage"),
    flags("high_entropy_tokens"),
]


def same(first, second):
    return all(torch.equal(first["params"][name], second["params"][name]) for name in first["params"])


def test_strength_0_is_stock_bit_for_bit_and_more_is_not(run_each, model_dir):
    assert {given[2] for given in OFF} == {given[2] for given in ON} == set(METHODS)
    variants = [("stock",), ("stock", "--actor.entropy_coef", "0.37")]
    variants += [("method", *given) for given in OFF + ON]
    stock, entropy_coef, *methods = run_each(*((model_dir, *variant) for variant in variants))
    for given, result in zip(OFF, methods, strict=False):
        assert same(result, stock), given
    on = {given[2]: result for given, result in zip(ON, methods[len(OFF) :], strict=True)}
    for method, result in on.items():
        assert not same(result, stock), method
    fixed = on["fixed"]
    assert same(fixed, entropy_coef)
    assert not same(on["aent"], fixed)  # its bonus, of the same coefficient, is on its own entropy
    assert fixed["status"]["policy_loss"] == entropy_coef["status"]["policy_loss"]


def test_a_methods_own_entropy_is_the_same_packed(run_each, model_dir):
    """aent's clamped entropy of every response token, with and without packing."""
    dynamic = ("--train.dynamic_batch_enable", "--train.max_tokens_per_gpu", "64")
    plain, packed = run_each((model_dir, "method", *flags("aent")), (model_dir, "method", *flags("aent"), *dynamic))
    for (full, own), (packed_full, packed_own) in zip(plain["entropy"], packed["entropy"], strict=True):
        assert bool((own < full).all())
        torch.testing.assert_close(packed_own, own, rtol=2e-2, atol=2e-2)  # bf16
        torch.testing.assert_close(packed_full, full, rtol=2e-2, atol=2e-2)
