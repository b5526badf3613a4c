"""MAF and IAF are one stack of layers, read in its two directions; and what each direction costs, counted, not timed.

A MAF with layers u = (x - mu) / sigma scores in one parallel pass of its networks; the IAF made of the same layers
samples in that very pass. The other direction is D dependent steps per layer. The usual way to take them repeats the
whole network D times; Counterflow evaluates every hidden unit once. What is counted, by torch's own counter, is the
multiplications of all matrix products. A kernel is out of that counter's sight, so while it counts the flow takes its
steps in plain PyTorch: slower, and the same multiplications.
"""

from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

import counterflow as cf
from counterflow.conditioners import RepeatedPass

FEATURES, ROWS = 16, 200


def main() -> None:
    """Equality, then cost."""
    torch.manual_seed(0)
    maf = cf.models.maf(FEATURES, layers=3, hidden=(128, 128)).double().eval()
    for parameter in maf.parameters():  # far from the start, where every layer is nearly the identity
        parameter.data += 0.03 * torch.randn_like(parameter)

    # The same modules behind `Inverse` or not: two flows that undo each other.
    stack = maf.bijection.bijection
    iaf = cf.Flow(maf.base, stack)
    u = torch.randn(ROWS, FEATURES, dtype=torch.double)
    x, log_det = maf.bijection(u)
    back, log_det_back = iaf.bijection(x)
    print(f"round trip: {(back - u).abs().max():.1e}, log-dets: {(log_det + log_det_back).abs().max():.1e}")
    assert torch.allclose(back, u)
    assert torch.allclose(log_det, -log_det_back)

    # Drawing and scoring are one density: each flow scores its draws as the draw itself said, by its other direction.
    for flow in (maf, iaf):
        draws, log_prob = flow.rsample_and_log_prob(ROWS)
        assert torch.allclose(flow.log_prob(draws), log_prob)

    score = multiplications(lambda: maf.log_prob(x))
    sample = multiplications(lambda: maf.sample(ROWS))
    repeated = multiplications(lambda: sample_by_repeated_passes(maf))
    print(f"one parallel pass (log_prob) {score:12,d} multiplications")
    print(f"sample, each unit once       {sample:12,d}   {sample / score:.2f} passes")
    print(f"sample, pass repeated        {repeated:12,d}   {repeated / score:.2f} passes")
    assert sample < score
    assert repeated == FEATURES * score


def multiplications(action: Callable[[], torch.Tensor]) -> int:
    """Multiply-adds of all matrix products in a call."""
    with FlopCounterMode(display=False) as counter:
        action()
    return counter.get_total_flops() // 2


def sample_by_repeated_passes(maf: cf.Flow) -> torch.Tensor:
    """What most libraries do: all rows of a network again for each coordinate."""
    x = maf.base.sample((ROWS,))
    for layer in reversed(maf.bijection.bijection.parts):
        if not isinstance(layer, cf.Autoregressive):
            x = layer.inverse(x)[0]
            continue
        stepper, solved = RepeatedPass(layer.conditioner, x.shape[:-1]), []
        for column in x.unbind(-1):
            solved.append(layer.univariate.inverse(column, stepper.params())[0])
            stepper.push(solved[-1])
        x = torch.stack(solved, -1)
    return x


if __name__ == "__main__":
    main()
