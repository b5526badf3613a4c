"""Every kernel x univariate map x dtype x mask: the inverse is that of D passes, the other direction one pass."""

import collections
import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from counterflow.solvers.kernels import cpu, kernel_for
from solvers.kernel_cases import (
    ACTIVATIONS,
    DIRECTIONS,
    MAPS,
    NETS,
    Net,
    U,
    blocked,
    close,
    coupled,
    double,
    errors,
    evaluated,
    normal,
    one_pass,
    solved,
    stepwise,
)

TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-12}
DTYPES = list(TOLERANCE)
SIZES = (0, 1, 2, 3, 15, 16, 17, 33, 64, 65, 100, 131)  # around 1 to 4 vectors of both precisions, and whole tiles
FEW_NETS, FEW_MAPS = ("order, random degrees, context",), ("bounded", "composed of compositions")
UNKNOWN = ("Softplus, beta", "GELU", "Hardtanh")  # activations that PyTorch runs
CUBE_ROOT = 1 / 3


class Cubic(U.Univariate):
    """x = (u + mu)^3: a map of a user's own, which no kernel knows and which cannot be hashed."""

    __hash__ = None  # type: ignore[assignment]
    num_params = 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cubic)

    def forward(self, u: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        y = u + params[..., 0]
        return y**3, (3 * y * y).log()

    def inverse(self, x: Tensor, params: Tensor) -> tuple[Tensor, Tensor]:
        y = x.sign() * x.abs() ** CUBE_ROOT
        return y - params[..., 0], -(3 * y * y).log()


# Every kind of mask with some maps and every map with some masks; all pairs are slow.
PAIRS = [
    pytest.param(
        kind,
        t,
        id=f"{name}-{map_name}",
        marks=[] if name in FEW_NETS or map_name in FEW_MAPS else [pytest.mark.slow],
    )
    for name, kind in NETS.items()
    for map_name, t in MAPS.items()
]


@pytest.mark.parametrize(("kind", "t"), PAIRS)
def test_kernels_agree_with_d_passes_in_float64(kind: Any, t: Any) -> None:
    """Both kernels (one of them takes two samples at most) in both directions, and the recursion in PyTorch."""
    net = kind.make(t.num_params)
    x, context = kind.inputs(21)
    truth, other_truth = solved(net, t, x, context), one_pass(net, t, x, context)
    for samples in (slice(0, 2), slice(0, 21)):
        given = x[samples], None if context is None else context[samples]
        true, other_true = ((value[samples], log_det[samples]) for value, log_det in (truth, other_truth))
        assert close(blocked(net, t, *given), true)
        assert close(evaluated(net, t, *given), other_true)
    assert close(stepwise(net, t, x, context), truth)


@pytest.mark.parametrize(("kind", "t"), PAIRS)
def test_float32_errors_are_at_most_twice_those_of_d_passes(kind: Any, t: Any) -> None:
    """Of several networks: where samples share a map, its knots are rounded once for all of them."""
    pooled: dict[tuple[Any, Any], list[Tensor]] = collections.defaultdict(list)
    for seed in range(4):
        net = coupled(kind.make(t.num_params, torch.float32), seed)
        wide, (x, context) = copy.deepcopy(net).double(), kind.inputs(100, dtype=torch.float32, seed=seed)
        for true, runs in ((solved, (blocked, stepwise)), (one_pass, (evaluated,))):
            truth = true(wide, t, x.double(), double(context))
            for run in (true, *runs):
                pooled[true, run].append(errors(run(net, t, x, context), truth))
    # The largest error is a sample's own bad luck: it lies where a map is steepest, and rounds one way or the other.
    within = {pair: float(torch.cat(found).quantile(0.9)) for pair, found in pooled.items()}
    for true, run in within:
        assert within[true, run] <= 2 * within[true, true] + 1e-6  # slack for the last operations


@pytest.mark.slow
@pytest.mark.parametrize("t", [U.Affine(), U.Additive()], ids=["affine", "additive"])
@pytest.mark.parametrize("width", [512, 1024])
def test_float32_errors_of_wide_layers_are_at_most_twice_those_of_d_passes(width: int, t: Any) -> None:
    """Without slack: a sum of a thousand terms, one after the other, loses digits that a dense product keeps."""
    kind = Net(16, (width, width))
    net, (x, _) = kind.make(t.num_params, torch.float32), kind.inputs(200, dtype=torch.float32)
    truth = solved(copy.deepcopy(net).double(), t, x.double())
    loop, found = (errors(run(net, t, x), truth).quantile(0.9) for run in (solved, blocked))
    assert found <= 2 * loop


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("run", "true"), DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("name", ["context", "order, random degrees, context", "several blocks"])
def test_any_number_of_samples(name: str, run: Any, true: Any, dtype: torch.dtype) -> None:
    t = MAPS["composed of compositions"]
    net = NETS[name].make(t.num_params, dtype)
    x, context = NETS[name].inputs(max(SIZES), dtype=dtype)
    truth = true(copy.deepcopy(net).double(), t, x.double(), double(context))
    for size in SIZES:
        found = run(net, t, x[:size], None if context is None else context[:size])
        assert found[0].dtype == dtype
        assert close(found, (truth[0][:size], truth[1][:size]), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("run", "true"), DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("kind", [NETS["residual, order, context"], NETS["wide windows"], NETS["crowded degrees"]])
def test_tiles_of_every_width_give_the_same_bits(
    kind: Any, run: Any, true: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is computed for a sample does not depend on those beside it."""
    t = MAPS["composed"]
    net, given = kind.make(t.num_params, dtype), kind.inputs(131, dtype=dtype)
    widths: list[tuple[Tensor, Tensor]] = []
    for vectors in (1, 2, 3, 4):
        monkeypatch.setattr(cpu, "_tile_width", lambda *_, count=vectors: count * 64 // dtype.itemsize)
        widths.append(run(net, t, *given))
    for found in widths[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found, widths[0], strict=True))
    truth = true(copy.deepcopy(net).double(), t, *(double(part) for part in given))
    assert close(widths[0], truth, TOLERANCE[dtype])


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("samples", [1, 2, 3, 37])
@pytest.mark.parametrize("kind", NETS.values(), ids=NETS)
def test_kernels_keep_to_their_scratch_memory(
    kind: Any, samples: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read nothing there that they have not written (it is full of NaN), and write nothing outside of it."""
    made: list[np.ndarray] = []

    class Guarded:
        def __getattr__(self, name: str) -> Any:
            return getattr(np, name)

        @staticmethod
        def empty(size: int, dtype: Any) -> np.ndarray:
            made.append(np.full(size + 512, 0xFF, dtype))
            return made[-1][256:-256]

    for dtype, t in itertools.product(DTYPES, (MAPS["linear"], MAPS["bounded"])):
        net, given = kind.make(t.num_params, dtype), kind.inputs(samples, dtype=dtype)
        with monkeypatch.context() as patch:
            patch.setattr(cpu, "_tile_width", lambda *_, item=dtype.itemsize: width * 64 // item)
            clean = blocked(net, t, *given), evaluated(net, t, *given)
            patch.setattr(cpu, "np", Guarded())
            guarded = blocked(net, t, *given), evaluated(net, t, *given)
        for one, other in zip(itertools.chain(*clean), itertools.chain(*guarded), strict=True):
            assert torch.equal(one, other)
    assert made
    assert all((memory[:256] == 0xFF).all() and (memory[-256:] == 0xFF).all() for memory in made)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name: str, dtype: torch.dtype) -> None:
    t = U.Affine()
    for kind in (NETS["sorted"], NETS["residual, order, context"]):
        net = kind.make(t.num_params, dtype, activation=ACTIVATIONS[name])
        x, context = kind.inputs(300, dtype=dtype)
        # Far out too, where an activation is flat or straight.
        x = x * torch.linspace(0.1, 20, 300, dtype=dtype)[:, None]
        wide = copy.deepcopy(net).double()
        for run, true in DIRECTIONS.values():
            truth = true(wide, t, x.double(), double(context))
            for few_or_many in (slice(0, 2), slice(298, 300), slice(None)):
                found = run(net, t, x[few_or_many], None if context is None else context[few_or_many])
                part = truth[0][few_or_many], truth[1][few_or_many]
                assert close(found, part, TOLERANCE[dtype])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_kernels_take_what_they_know_and_nothing_else(name: str) -> None:
    """Otherwise the laws above would hold PyTorch equal to PyTorch."""
    net, x = NETS["sorted"].make(2, activation=ACTIVATIONS[name]), torch.zeros(3, 7)
    known = name not in UNKNOWN
    for t in MAPS.values():
        assert (kernel_for(net.program(), t, x) is not None) == known
    for dtype in (torch.float16, torch.bfloat16):
        assert kernel_for(net.program(), U.Affine(), x.to(dtype)) is None


@pytest.mark.parametrize("t", [Cubic(), U.Composed((Cubic(), U.Affine()))], ids=["own", "composed with own"])
def test_maps_that_no_kernel_knows_are_solved_in_chunks(t: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = NETS["residual, order, context"]
    net, given = kind.make(t.num_params), kind.inputs(23)
    monkeypatch.setattr("counterflow.solvers.blocked.CHUNK_BYTES", 5 * 8 * sum(net.program().sizes))
    assert close(blocked(net, t, *given), solved(net, t, *given))
    assert close(evaluated(net, t, *given), one_pass(net, t, *given))
    assert blocked(net, t, given[0][:0], given[1][:0])[0].shape == (0, 6)


@pytest.mark.parametrize(("run", "true"), DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("activation", [nn.Tanh(), nn.GELU()], ids=["kernel", "PyTorch"])
@pytest.mark.parametrize(
    ("batch", "context_batch"),
    [
        ((), ()),
        ((2, 3), ()),
        ((2, 3), (3,)),
        ((), (4,)),
        ((2, 1), (1, 3)),
        ((2, 3), (2, 1)),
        ((0,), ()),
        ((2, 0), (1,)),
        ((5, 1, 7), (7,)),
    ],
)
def test_batch_axes_of_x_and_context_broadcast(
    run: Any, true: Any, batch: tuple[int, ...], context_batch: tuple[int, ...], activation: nn.Module
) -> None:
    t, kind = U.RationalQuadratic(bins=3), NETS["context"]
    net = kind.make(t.num_params, activation=activation)
    x, context = 2 * normal(*batch, 5), normal(*context_batch, 3, seed=1)
    assert close(run(net, t, x, context), true(net, t, x, context))


def views() -> dict[str, Tensor]:
    """(12, 7) tensors that lie in memory in every way."""
    return {
        "columns": normal(7, 12).t(),
        "every other": normal(24, 14)[::2, ::2],
        "offset": normal(13, 9)[1:, 2:],
        "one sample repeated": normal(7).expand(12, 7),
        "one coordinate repeated": normal(12, 1).expand(12, 7),
        "one number": normal(1, 1).expand(12, 7),
        "batch axes swapped": normal(3, 4, 7).transpose(0, 1).reshape(12, 7),
    }


@pytest.mark.parametrize(("run", "true"), DIRECTIONS.values(), ids=DIRECTIONS)
@pytest.mark.parametrize("view", views())
def test_inputs_of_any_strides(view: str, run: Any, true: Any) -> None:
    t = MAPS["composed"]
    for name in ("sorted", "order"):
        net, x = NETS[name].make(t.num_params), views()[view]
        for few_or_many in (x[:1], x[:2], x, x.view(x.shape), x.unflatten(0, (3, 4)).transpose(0, 1)):
            assert close(run(net, t, few_or_many), true(net, t, few_or_many))


def test_contexts_of_any_strides() -> None:
    t, kind = MAPS["composed"], NETS["context"]
    net, x = kind.make(t.num_params), kind.inputs(12)[0]
    for context in (normal(3, 12).t(), normal(3).expand(12, 3), normal(12, 1).expand(12, 3), normal(24, 6)[::2, ::2]):
        for run, true in DIRECTIONS.values():
            assert close(run(net, t, x, context), true(net, t, x, context))


@pytest.mark.parametrize("bias", [True, False])
def test_weights_of_any_strides_and_layers_without_bias(bias: bool) -> None:
    t = U.Affine()
    for name in ("sorted", "holes", "residual"):
        net, given = NETS[name].make(t.num_params), NETS[name].inputs(19)
        for layer in (net.first, *net.layers, net.out):
            layer.weight.data = layer.weight.data.t().contiguous().t()
            layer.bias = layer.bias if bias else None
        assert close(blocked(net, t, *given), solved(net, t, *given))
        assert close(blocked(net, t, given[0][:1]), solved(net, t, given[0][:1]))


def test_the_input_is_left_alone() -> None:
    t, kind = MAPS["composed"], NETS["context"]
    net, (x, context) = kind.make(t.num_params), kind.inputs(19)
    before = [tensor.clone() for tensor in (x, context, *net.state_dict().values())]
    blocked(net, t, x, context)
    evaluated(net, t, x, context)
    assert all(torch.equal(*pair) for pair in zip(before, (x, context, *net.state_dict().values()), strict=True))
