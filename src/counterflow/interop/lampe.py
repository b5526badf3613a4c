"""Flows of ours for lampe: `lampe.inference.NPE(theta_dim, x_dim, build=counterflow.interop.lampe.maf)`."""

from typing import Any

from torch import Tensor, nn

from .. import models
from ..flow import Flow
from .flow_distribution import FlowDistribution
from .libraries import library

library("lampe")  # nothing of it is used here: for the sentence where it is missing, and for its version


class Conditioned(nn.Module):
    """A conditional flow as lampe (and zuko) see it: a call with a context gives a distribution.

    Args:
        flow: Of the parameters, given data.
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, context: Tensor) -> FlowDistribution:
        """p(. | context): batch shape that of the context; `log_prob`, `sample`, `rsample`."""
        return FlowDistribution(self.flow, context)


def maf(theta_dim: int, x_dim: int, **options: Any) -> Conditioned:
    """A MAF of `theta_dim` parameters given `x_dim` data; `options` are those of `counterflow.models.maf`."""
    return Conditioned(models.maf(theta_dim, x_dim, **options))


def nsf(theta_dim: int, x_dim: int, **options: Any) -> Conditioned:
    """An autoregressive spline flow; `options` are those of `counterflow.models.nsf`."""
    return Conditioned(models.nsf(theta_dim, x_dim, **options))
