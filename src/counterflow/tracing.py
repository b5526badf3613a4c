"""Whether torch is running operations, or looking at them: a kernel of our own must not run where torch only looks.

A compiled kernel reads memory. Under `torch.compile`, `torch.export`, `torch.func` and forward-mode differentiation a
tensor stands for something else than its memory (a batch, a tangent, nothing yet), and what a kernel reads is wrong or
missing. Whoever has a kernel asks here first, and otherwise runs the plain PyTorch operations, which torch can follow.
"""

import torch
from torch import Tensor
from torch.autograd import forward_ad

_ORDINARY = (Tensor, torch.nn.Parameter)


def transforming() -> bool:
    """Whether one of torch's transforms is at work: a compiler, an exporter, a tracer, `torch.func`, forward mode."""
    # First, because a compiler takes this for a constant and then reads no further.
    if torch.compiler.is_compiling():
        return True
    return (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or torch._C._get_tracing_state() is not None  # torch.jit.trace
        or torch._C._len_torch_dispatch_stack() > 0  # make_fx, fake tensors, counters of operations
    )


def plain_tensors(*tensors: Tensor | None) -> bool:
    """Whether a kernel may read all of these tensors: memory of their own, and no transform of torch at work.

    It says nothing of device, precision or strides, nor of whether autograd records.

    Args:
        *tensors: Everything that the kernel will read, the parameters of a network included: `functional_call` may
            have replaced those alone. None counts as plain.

    Cost: about a microsecond, and a third of one per tensor.
    """
    return not transforming() and all(tensor is None or _is_plain(tensor) for tensor in tensors)


def _is_plain(tensor: Tensor) -> bool:
    return (
        type(tensor) in _ORDINARY
        and torch._C._has_storage(tensor)  # not so for a batch of gradients (`is_grads_batched`), or if sparse
        and not tensor.is_meta
        and not tensor.is_neg()  # memory that is to be read with the other sign
    )
