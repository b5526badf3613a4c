"""The Triton kernel against the D-pass loop and one dense pass: every network, univariate map and precision."""

import copy
import importlib.util
import math
import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from counterflow import univariate as U
from counterflow.conditioners import MaskedMLP
from counterflow.solvers.kernels import gpu
from counterflow.solvers.kernels.doors import knows
from counterflow.solvers.kernels.gpu_tables import structure_of
from counterflow.solvers.kernels.mirrored import recurse
from counterflow.solvers.mirror import Rows, linearise, mirror
from gpu.where import DEVICE, reason_to_skip
from solvers.kernel_cases import ACTIVATIONS, MAPS, NETS, Net, drawn_degrees, normal

if reason_to_skip():
    pytest.skip(reason_to_skip(), allow_module_level=True)

pytestmark = [
    # The interpreter computes in NumPy, which warns where a device is silent; lanes that no result uses are among it.
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:numpy"),
]

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}
SAMPLES = 5
# Beyond those: blocks of 32 units, degrees that fill several products, wide and narrow blocks in one network.
OWN_NETS = {
    "degrees too large for a narrow block": Net(3, (90, 70)),
    "large and small degrees": Net(
        4, (60, 40), options={"degrees": ((1,) * 50 + (2, 2, 3, 3, 3) * 2, (1, 2, 3, 3) * 10)}
    ),
    "several narrow blocks of 32 units": Net(12, (80, 60)),
    "residual, large degrees": Net(3, (90, 90), options={"residual": True}),
    "large degrees in random order, context": Net(3, (90, 70), 2, drawn_degrees(3, (90, 70), 0)),
}
ALL_NETS = NETS | OWN_NETS


def kernel(
    net: MaskedMLP, t: U.Univariate, x: Tensor, context: Tensor | None, *, evaluate: bool = False
) -> tuple[Tensor, Tensor]:
    """The kernel's answer, as it would be asked for without gradients."""
    moved = copy.deepcopy(net).to(DEVICE)
    assert knows(moved.program(), t)
    x, context = x.to(DEVICE), None if context is None else context.to(DEVICE)
    with torch.no_grad():
        found = gpu.run(moved.program(), moved.layout, t, x, context, evaluate=evaluate)
    return found.values.cpu(), found.log_det.cpu()


def d_passes(net: MaskedMLP, t: U.Univariate, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The inverse as it is defined: the whole network again for every coordinate."""
    u, log_det = torch.zeros_like(x), x.new_zeros(len(x))
    with torch.no_grad():
        for i in net.order:
            u[:, i], log_slope = t.inverse(x[:, i], net(u, context)[:, i])
            log_det += log_slope
    return u, log_det


def one_pass(net: MaskedMLP, t: U.Univariate, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        x, log_slope = t.forward(u, net(u, context))
    return x, log_slope.sum(-1)


def error(found: Sequence[Tensor], truth: Sequence[Tensor]) -> float:
    """The largest error, relative where the truth is above 1; infinite where NaN is found or shapes differ."""
    largest = 0.0
    for one, other in zip(found, truth, strict=True):
        if one.shape != other.shape:
            return math.inf
        if other.numel():
            relative = (one.double() - other.double()).abs() / other.double().abs().clamp_min(1)
            largest = max(largest, float(relative.nan_to_num(math.inf).max()))
    return largest


def check(net: Net, t: U.Univariate, dtype: torch.dtype, **options: nn.Module) -> None:
    """Both directions; a float32 answer is compared with that of the same weights in float64."""
    made = net.make(t.num_params, dtype, **options)
    x, context = net.inputs(SAMPLES, dtype=dtype)
    exact, wide = copy.deepcopy(made).double(), (x.double(), None if context is None else context.double())
    assert error(kernel(made, t, x, context), d_passes(exact, t, *wide)) < TOLERANCE[dtype]
    assert error(kernel(made, t, x, context, evaluate=True), one_pass(exact, t, *wide)) < TOLERANCE[dtype]


@pytest.mark.parametrize("net", ALL_NETS)
def test_it_inverts_and_evaluates_any_network(net: str) -> None:
    check(ALL_NETS[net], U.Affine(), torch.float64)


@pytest.mark.parametrize("t", MAPS)
def test_it_has_every_univariate_map(t: str) -> None:
    check(NETS["sorted"], MAPS[t], torch.float64)


@pytest.mark.parametrize(
    "t", ["additive", "bounded", "softplus", "sigmoid", "clipped", "quadratic", "linear", "composed"]
)
def test_it_computes_in_float32_as_well(t: str) -> None:
    check(NETS["order, random degrees, context"], MAPS[t], torch.float32)


@pytest.mark.parametrize("net", ["residual, order, context", "several blocks", *OWN_NETS])
def test_it_computes_any_network_in_float32(net: str) -> None:
    check(ALL_NETS[net], U.Affine(), torch.float32)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_it_has_the_activations_that_it_says_it_knows(activation: str) -> None:
    function, net = ACTIVATIONS[activation], NETS["residual"]
    if knows(net.make(2, activation=function).program(), U.Affine()):
        check(net, U.Affine(), torch.float64, activation=function)
        check(NETS["four layers"], U.Affine(), torch.float64, activation=function)
    else:
        assert activation in ("Softplus, threshold", "Softplus, beta", "GELU", "Hardtanh")


def test_these_networks_have_narrow_blocks_wide_ones_and_both() -> None:
    def blocks(net: str) -> tuple[bool, bool, int]:
        made = ALL_NETS[net].make(2)
        found = structure_of(made.program(), made.layout, torch.device("cpu")).recursion
        return found.narrow, found.wide, len(found.table)

    assert blocks("degrees too large for a narrow block")[1:] == (True, 3)
    assert blocks("several narrow blocks of 32 units")[:2] == (True, False)
    assert blocks("several narrow blocks of 32 units")[2] > 2
    assert blocks("large and small degrees")[:2] == (True, True)


@pytest.mark.parametrize("samples", [0, 1, 16, 17, 300])
def test_it_takes_any_number_of_samples(samples: int) -> None:
    """300 are more than the programs of one launch take at once."""
    net, t = Net(2, (5,), 2), U.Affine()
    made = net.make(2)
    x, context = net.inputs(samples)
    assert error(kernel(made, t, x, context), d_passes(made, t, x, context)) < 1e-12


def test_it_reads_any_strides_and_one_context_for_all() -> None:
    net, t = NETS["context"], U.Affine()
    made = net.make(2)
    x, context = normal(5, 3 * 18)[:, 4:].t()[::10], normal(1, 3)
    assert not x.is_contiguous()
    assert error(kernel(made, t, x, context), d_passes(made, t, x, context)) < 1e-12
    assert (
        error(
            kernel(made, t, x[:1].expand(4, -1), context),
            d_passes(made, t, x[:1].expand(4, -1), context),
        )
        < 1e-12
    )


@pytest.mark.parametrize("net", ["sorted", "several blocks", "degrees too large for a narrow block"])
def test_nan_stays_with_its_sample_and_after_its_coordinate(net: str) -> None:
    made = ALL_NETS[net].make(2)
    x, _ = ALL_NETS[net].inputs(SAMPLES)
    whole, k = kernel(made, U.Affine(), x, None)[0], 2
    x[3, k] = torch.nan
    found, log_det = kernel(made, U.Affine(), x, None)
    assert torch.equal(found[[0, 1, 2, 4]], whole[[0, 1, 2, 4]])
    assert torch.equal(found[3, :k], whole[3, :k])
    assert found[3, k:].isnan().all()
    assert log_det.isnan().tolist() == [False, False, False, k + 1 < x.shape[1], False]
    assert kernel(made, U.Affine(), x, None, evaluate=True)[0][3, k:].isnan().all()


@pytest.mark.parametrize("activation", ["ReLU", "LeakyReLU", "ELU", "Sigmoid", "SiLU", "Softplus"])
def test_no_activation_swallows_nan(activation: str) -> None:
    made = NETS["sorted"].make(2, activation=ACTIVATIONS[activation])
    x, _ = NETS["sorted"].inputs(SAMPLES)
    x[3, 0] = torch.nan
    assert kernel(made, U.Affine(), x, None)[0][3].isnan().all()
    assert kernel(made, U.Affine(), x, None, evaluate=True)[0][3].isnan().all()


@pytest.mark.parametrize("t", ["quadratic", "linear", "softplus", "sigmoid", "bounded"])
def test_nan_parameters_give_nan(t: str) -> None:
    made = NETS["sorted"].make(MAPS[t].num_params)
    with torch.no_grad():
        made.out.bias.fill_(torch.nan)
    found, log_det = kernel(made, MAPS[t], torch.zeros(2, 7).double(), None)
    assert found.isnan().all()
    assert log_det.isnan().all()


@pytest.mark.parametrize("net", ["sorted", "several blocks", "degrees too large for a narrow block"])
def test_weights_outside_the_mask_are_not_used(net: str) -> None:
    made = ALL_NETS[net].make(2)
    x, _ = ALL_NETS[net].inputs(SAMPLES)
    truth = d_passes(made, U.Affine(), x), one_pass(made, U.Affine(), x)
    with torch.no_grad():
        for layer in made.modules():
            if hasattr(layer, "mask"):
                layer.weight[layer.mask == 0] = torch.nan
    assert error(kernel(made, U.Affine(), x, None), truth[0]) < 1e-12
    assert error(kernel(made, U.Affine(), x, None, evaluate=True), truth[1]) < 1e-12


def test_weights_changed_in_place_count_at_once() -> None:
    for name in ("sorted", "holes"):
        made, t = NETS[name].make(2).to(DEVICE), U.Affine()
        x, _ = NETS[name].inputs(SAMPLES)
        for _ in range(2):
            with torch.no_grad():
                for parameter in made.parameters():
                    parameter.mul_(1.1)
                found = gpu.run(made.program(), made.layout, t, x.to(DEVICE), None, evaluate=False)
            assert error((found.values.cpu(), found.log_det.cpu()), d_passes(made.cpu(), t, x)) < 1e-12
            made.to(DEVICE)


def test_another_precision_of_the_weights_is_refused() -> None:
    made = NETS["sorted"].make(2, torch.float32)
    with pytest.raises(TypeError, match=r"computes in torch\.float32, and x is torch\.float64"):
        kernel(made, U.Affine(), torch.zeros(2, 7).double(), None)
    with pytest.raises(TypeError, match=r"x is torch\.float16"):
        kernel(made.half(), U.Affine(), torch.zeros(2, 7).half(), None)


@pytest.mark.parametrize(
    ("net", "t"),
    [
        ("sorted", "quadratic"),
        ("holes", "additive"),
        ("residual, order, context", "bounded"),
        ("several blocks", "bounded"),
        ("degrees too large for a narrow block", "quadratic"),
        ("large and small degrees", "bounded"),
        ("residual, large degrees", "additive"),
    ],
)
def test_the_mirrored_recursion_is_that_of_pytorch(net: str, t: str) -> None:
    made, univariate = ALL_NETS[net].make(MAPS[t].num_params), MAPS[t]
    x, context = ALL_NETS[net].inputs(SAMPLES)
    program, features = made.program(), x.shape[1]
    with torch.no_grad():
        added = {
            i: step.layer(context) for i, step in enumerate(program.steps) if type(step).__name__ in ("Shift", "Gate")
        }
        slopes = linearise(program, x, added).slopes
        mirrored = mirror(program, made.layout)
    # Any numbers will do: slopes and offsets of rows that lie parameter by parameter, as a network's outputs do.
    given, reciprocal = normal(SAMPLES, features, seed=2), 0.5 + normal(SAMPLES, features, seed=3).abs()
    slope = 0.3 * normal(SAMPLES, univariate.num_params, features, seed=4).transpose(1, 2)
    for offset in (normal(*slope.shape, seed=5), torch.zeros((), dtype=slope.dtype).expand_as(slope)):
        rows = Rows(given, reciprocal, slope, offset)
        with torch.no_grad():
            truth, kept = recurse(mirrored, rows, slopes)
        moved = copy.deepcopy(made).to(DEVICE)
        on_device = mirror(moved.program(), moved.layout)
        arguments = Rows(*(each.to(DEVICE) for each in rows)), {i: each.to(DEVICE) for i, each in slopes.items()}
        with torch.no_grad():
            found = gpu.run_mirrored(on_device, *arguments, keep=True)
            without = gpu.run_mirrored(on_device, *arguments, keep=False)
        assert torch.equal(found.v, without.v)
        assert without.kept == {}
        assert set(found.kept) == set(kept)
        assert error((found.v.cpu(), *(found.kept[i].cpu() for i in kept)), (truth, *kept.values())) < 1e-12


def test_importing_the_package_imports_no_compiler() -> None:
    code = "import sys, counterflow; print([m for m in ('triton', 'numba') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_door_says_whether_triton_is_there() -> None:
    assert gpu.available() == (importlib.util.find_spec("triton") is not None)
