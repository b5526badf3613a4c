"""Operations written out for ONNX keep the digits that they exist to keep."""

import pytest
import torch

from counterflow.exporting import stable

FORMS = {
    "log1p": (stable._log1p, torch.log1p, [0.0, 1e-30, -1e-20, 1e-9, -1e-4, 0.3, 1.0, 1e6]),
    "expm1": (stable._expm1, torch.expm1, [0.0, 1e-30, -1e-20, 1e-9, -1e-4, 0.3, 5.0, -50.0]),
    "softplus": (
        stable._softplus,
        lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        [-80.0, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4],
    ),
    "log sigmoid": (
        stable._log_sigmoid,
        lambda x: -torch.logaddexp(-x, torch.zeros_like(x)),
        [-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 80.0],
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS)
def test_a_written_out_operation_has_the_digits_of_torchs(form: str, dtype: torch.dtype) -> None:
    written, own, points = FORMS[form]
    x = torch.tensor(points, dtype=dtype)
    expected = own(x.double())
    assert bool(((written(x).double() - expected).abs() <= 4 * torch.finfo(dtype).eps * expected.abs()).all())
