"""A flow, given a context, as a distribution of Pyro; imported when Pyro has been."""

from .flow_distribution import FlowDistribution
from .libraries import importing

with importing("pyro-ppl"):
    from pyro.distributions.torch_distribution import TorchDistributionMixin


class PyroFlowDistribution(FlowDistribution, TorchDistributionMixin):  # type: ignore[misc]
    """A `FlowDistribution` for `pyro.sample`: in a model, as a likelihood, or in a guide.

    Pyro trains parameters that it knows: call `pyro.module("flow", flow)` where the flow is to be trained.
    """
