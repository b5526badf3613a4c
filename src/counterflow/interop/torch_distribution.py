"""A flow as a distribution of torch, and of Pyro where that has been imported: `to_torch_distribution`."""

import sys

from torch import Tensor

from ..model import Model
from .flow_distribution import FlowDistribution


def to_torch_distribution(
    flow: Model, context: Tensor | None = None, *, validate_args: bool | None = None
) -> FlowDistribution:
    """A flow as a `torch.distributions.Distribution`; where Pyro has been imported, as one that Pyro samples, too.

    Args:
        flow: Any model of ours.
        context: What to condition on, (*batch, M), or as the flow's context encoder takes it; None without.
        validate_args: As in torch.

    Returns:
        Batch shape that of the context, event shape (D,); `sample`, `rsample`, `log_prob`, `expand`, `support`.

    Raises:
        ValueError: the context is missing, surplus or ill-shaped.
    """
    if "pyro" in sys.modules:  # whoever calls pyro.sample has imported it; nobody else waits for it
        from .pyro_distribution import PyroFlowDistribution

        return PyroFlowDistribution(flow, context, validate_args)
    return FlowDistribution(flow, context, validate_args)
