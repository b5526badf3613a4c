"""A convolutional teacher of a series, distilled into a student that samples in one pass; its certificate.

python examples/12_distillation.py
"""

import torch

import counterflow as cf
from counterflow import conditioners, distillation, families

LENGTH = 16


def series(count: int) -> torch.Tensor:
    """Damped oscillations whose shocks have heavy tails and grow with the last step."""
    x = [torch.randn(count), torch.randn(count)]
    shocks = torch.distributions.StudentT(5.0).sample((LENGTH, count))
    for shock in shocks:
        scale = 0.3 + 0.2 * (x[-1] - x[-2]).abs()
        x.append(1.2 * x[-1] - 0.6 * x[-2] + scale * shock)
    return torch.stack(x[2:], -1)


def main() -> None:
    """Fit the teacher, teach the student layer by layer, polish it, and hold it against the teacher."""
    torch.manual_seed(0)
    family = families.Logistic()
    teacher = cf.AutoregressiveModel(conditioners.CausalConv(LENGTH, family.num_params, 24), family)
    cf.fit(teacher, series(5000), validation=0.1, steps=250, batch_size=128, learning_rate=5e-3, progress=False)

    student = distillation.student_of(teacher, network=distillation.Masked((96, 96)), layers=2)
    draws = teacher.sample(8000)
    start = distillation.MatchedLayers(draws, 128)
    distillation.distil(student, teacher, objective=start, steps=400, learning_rate=5e-3, held_out=512, progress=False)
    # The two share one order, so fresh draws of every step are at hand; draws of the teacher protect its tails.
    objective = distillation.Sum(((1.0, distillation.StepwiseKL(64, 8)), (0.5, distillation.ForwardKL(draws, 64))))
    distillation.distil(
        student, teacher, objective=objective, steps=150, learning_rate=1e-3, held_out=512, progress=False
    )

    certificate = distillation.certify(student, teacher, 4000, teacher_draws=teacher.sample(2000))
    print(*certificate.sentences(), sep="\n")
    print(*distillation.throughput(student, teacher, rows=1).sentences(), sep="\n")

    corrected = distillation.metropolis(student, teacher, 1000, steps=10)
    print(f"Corrected: {corrected.acceptance:.0%} of the moves taken, {corrected.stuck:.1%} of the chains never moved.")
    assert certificate.kl_per_dimension < 0.05


if __name__ == "__main__":
    main()
