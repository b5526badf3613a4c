"""A flow, given a context, as a distribution of Pyro; imported when Pyro has been."""

from pyro.distributions.torch_distribution import TorchDistributionMixin

from .flow_distribution import FlowDistribution


class PyroFlowDistribution(FlowDistribution, TorchDistributionMixin):  # type: ignore[misc]
    """A `FlowDistribution` for `pyro.sample`: in a model, as a likelihood, or in a guide.

    Pyro trains parameters that it knows: call `pyro.module("flow", flow)` where the flow is to be trained.
    """
