"""What was exported gives the flow's own draws from equal noise, at batches of any size."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

import counterflow as cf
from counterflow.conditioners import ContextUnits
from counterflow.exporting import Exported
from exporting.flows import FLOWS, contexts, made

Run = Callable[..., tuple[Tensor, ...]]
BATCHES = (1000, 7, 1)
QUICK = ("context",)


def in_onnxruntime(path: Path) -> Run:
    session = onnxruntime.InferenceSession(str(path))

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        arrays = {one.name: t.numpy() for one, t in zip(session.get_inputs(), inputs, strict=True)}
        return tuple(torch.from_numpy(value) for value in session.run(["x", "log_prob"], arrays))

    return run


def agrees(flow: cf.Flow, run: Run, tolerance: float) -> None:
    """x and log q(x) for noise from the same random stream, relative to its column's size or to the value."""
    sizes: list[Tensor] = []
    law = torch.randn if isinstance(flow.base, cf.bases.DiagonalNormal | cf.Flow) else None
    for batch in BATCHES:
        given = contexts(flow, batch)
        stream = torch.Generator().manual_seed(batch)
        noise = law(batch, flow.features, generator=stream) if law else flow.base.sample(batch, generator=stream)
        x, log_prob = flow.rsample_and_log_prob(
            () if given else batch, *given, generator=torch.Generator().manual_seed(batch)
        )
        found = run(noise, *given)
        sizes = sizes or [x.square().mean(0).sqrt(), log_prob.square().mean().sqrt()]
        for value, expected, size in zip(found, (x, log_prob), sizes, strict=True):
            assert value.dtype == expected.dtype
            assert value.shape == expected.shape
            assert bool(((value - expected).abs() <= tolerance * torch.maximum(expected.abs(), size)).all())


def tolerance(exported: Exported) -> float:
    """1e-5; what the worst row of a steep flow rounds."""
    return max(1e-5, 30 * exported.rounding)


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FLOWS])
def test_onnxruntime_gives_the_draws_of_the_flow(name: str, tmp_path: Path) -> None:
    flow = made(name)
    exported = cf.export_onnx(tmp_path / "x.onnx", flow, log_prob=True)
    assert exported.largest_difference < tolerance(exported)
    with torch.no_grad():
        agrees(flow, in_onnxruntime(exported.path), tolerance(exported))


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "linear" else pytest.mark.slow) for n in FLOWS])
def test_a_program_of_torch_export_gives_the_draws_of_the_flow(name: str, tmp_path: Path) -> None:
    flow = made(name)
    exported = cf.export_torch(tmp_path / "x.pt2", flow, log_prob=True)
    with torch.no_grad():
        agrees(flow, torch.export.load(exported.path).module(), tolerance(exported))


def test_exporting_leaves_the_flow_as_it_was(tmp_path: Path) -> None:
    flow = made("iaf").train()
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    cf.export_program(flow)
    assert flow.training
    assert all(parameter.requires_grad for parameter in flow.parameters())
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_an_encoder_of_the_users_own_becomes_part_of_the_program() -> None:
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8, 2))  # of small pictures
    flow = cf.models.iaf(3, 2, layers=1, hidden=(8,), context_encoder=encoder)
    pictures = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(0))
    program = cf.export_program(flow, context=pictures[:1]).module()
    noise = flow.base.sample(5, generator=torch.Generator().manual_seed(1))
    x, _ = flow.rsample_and_log_prob((), pictures, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program(noise, pictures)[0], x.detach())


def test_a_context_without_a_logarithm_gives_nan_in_its_row_alone() -> None:
    program = cf.export_program(made("context")).module()
    x = program(torch.zeros(3, 3), torch.tensor([[100.0, 5.0], [100.0, 0.0], [100.0, -1.0]]))[0]
    assert x.isnan().all(-1).tolist() == [False, True, True]


def test_a_file_says_what_it_takes_to_use_it(tmp_path: Path) -> None:
    """Law of the noise, sizes, precision; and no folder of this machine."""
    torch.manual_seed(0)
    flow = cf.models.iaf(3, layers=1, hidden=(64, 64), base=cf.bases.StudentT(3, 5.0))
    path = tmp_path / "x.onnx"
    exported = cf.export_onnx(path, flow)
    session = onnxruntime.InferenceSession(str(path))
    told = session.get_modelmeta().custom_metadata_map
    assert told["counterflow.version"] == cf.__version__
    law = json.loads(told["counterflow.noise"])
    assert law["law"] == "student t"
    np.testing.assert_allclose(law["degrees_of_freedom"], 5.0, rtol=1e-6)
    assert json.loads(told["counterflow.features"]) == 3
    assert told["counterflow.dtype"] == "float32"
    assert exported.facts["noise"] == law
    assert [(one.name, one.shape[1:]) for one in session.get_inputs()] == [("noise", [3])]
    content = path.read_bytes()
    assert str(Path(cf.__file__).parent).encode() not in content
    # Masks are folded into the weights: one number per weight, not two.
    assert len(content) < 1.3 * 4 * sum(p.numel() for p in flow.parameters())


def test_units_of_a_context_are_those_of_the_user(tmp_path: Path) -> None:
    """The raw context goes in: the encoder's own units are in the program."""
    flow = made("context")
    assert isinstance(flow.context_encoder, ContextUnits)
    program = cf.export_program(flow).module()
    noise, context = torch.zeros(2, 3), torch.tensor([[100.0, 7.0], [120.0, 7.0]])
    with torch.enable_grad():
        x, _ = flow.bijection(noise, flow.encode(context))
    torch.testing.assert_close(program(noise, context)[0], x.detach())
