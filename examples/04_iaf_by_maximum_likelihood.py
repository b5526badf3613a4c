"""Train an IAF by maximum likelihood: on data, which is the direction that it has to solve for.

An IAF draws in one parallel pass; a given point needs its noise found coordinate by coordinate, and then the
gradient of that. Counterflow does both with about as many multiplications as a MAF's step takes, so which of the two
one trains on data is a matter of taste. The data are scikit-learn's handwritten digits, 64 pixels with uniform noise on
top. Checked: the implicit gradient against automatic differentiation through all steps, and the fit against a Gaussian.
"""

import time

import torch
from sklearn.datasets import load_digits

import counterflow as cf
from counterflow.diagnostics import FittedGaussian, compare
from counterflow.solvers import Stepwise

PIXELS, HELD_OUT = 64, 397


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Rows to train on, and rows held out, in random order; columns standardised."""
    pixels = torch.tensor(load_digits().data, dtype=torch.float32)
    x = pixels + torch.rand(pixels.shape)  # integers 0 .. 16 become a density
    x = ((x - x.mean(0)) / x.std(0))[torch.randperm(len(x))]
    return x[HELD_OUT:], x[:HELD_OUT]


def largest_disagreement(x: torch.Tensor) -> float:
    """Between the gradients of one loss by the default solver and through the steps of `Stepwise`, relative."""
    gradients = []
    for solver in (None, Stepwise()):
        torch.manual_seed(1)
        iaf = cf.models.iaf(PIXELS, layers=2, hidden=(96, 96), solver=solver).double()
        for parameter in iaf.parameters():  # far from the start, where every layer is nearly the identity
            parameter.data += 0.02 * torch.randn_like(parameter)
        gradients.append(torch.autograd.grad(cf.forward_kl(iaf, x.double()), list(iaf.parameters())))
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*gradients, strict=True))


def main() -> None:
    """Check the gradient; then train two flows of one size on the same rows."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    train, test = digits()

    error = largest_disagreement(train[:50])
    print(f"implicit gradient against autograd through {PIXELS} steps per layer: {error:.1e}")
    assert error < 1e-9

    gaussian, flows = FittedGaussian(train), {}
    for name, make in {"MAF": cf.models.maf, "IAF": cf.models.iaf}.items():
        flow = make(PIXELS, layers=2, hidden=(256, 256))
        cf.forward_kl(flow, train[:50]).backward()  # the very first call on a machine compiles the kernels
        begun = time.perf_counter()
        history = cf.fit(flow, train, validation=0.15, epochs=40, batch_size=50, patience=10, progress=False)
        took = 1e3 * (time.perf_counter() - begun) / history.steps
        gain = compare(flow, gaussian, test).difference
        print(f"{name}: {gain.mean:.1f} +- {gain.standard_error:.1f} nats above a Gaussian, {took:.1f} ms per step")
        flows[name] = flow, gain

    iaf, gain = flows["IAF"]
    draws, log_prob = iaf.rsample_and_log_prob(500)  # the cheap direction says the same of its own draws
    assert torch.allclose(iaf.log_prob(draws), log_prob, atol=1e-2)
    assert gain.mean > 8 * gain.standard_error, gain


if __name__ == "__main__":
    main()
