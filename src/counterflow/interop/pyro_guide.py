"""A guide for Pyro models whose posterior is a flow of ours: `AutoFlow`."""

from collections.abc import Callable
from typing import Any

import torch

from .. import models
from ..bases import DiagonalNormal
from ..flow import Flow
from .flow_distribution import FlowDistribution
from .libraries import importing
from .pyro_distribution import PyroFlowDistribution

with importing("pyro-ppl"):
    import pyro
    from pyro.infer.autoguide import AutoContinuous, init_to_feasible


def inverse_autoregressive(features: int) -> Flow:
    """An IAF of one layer over a diagonal normal, as Pyro's `AutoIAFNormal` has it: it draws in one pass."""
    return models.iaf(features, layers=1, hidden=(3 * features + 1,) * 2, base=DiagonalNormal(features))


class AutoFlow(AutoContinuous):
    """A flow over all latent variables of a model, each mapped to the line as `AutoContinuous` of Pyro does it.

    The flow is made at the first call, when the number of latent variables is known; `flow` is then an ordinary `Flow`
    that can be saved, reported and distilled. Its parameters are in Pyro's store under the guide's name.

    Args:
        model: A Pyro model whose latent variables are continuous.
        make: From the number of latent variables to a flow without context.
    """

    def __init__(self, model: Callable[..., Any], make: Callable[[int], Flow] = inverse_autoregressive) -> None:
        super().__init__(model, init_loc_fn=init_to_feasible)  # type: ignore[no-untyped-call]
        self._make = make
        self._held: tuple[Flow, ...] = ()  # a tuple: as an attribute, Pyro would change the classes of its modules

    @property
    def flow(self) -> Flow:
        """The flow over the unconstrained latent variables, side by side.

        Raises:
            RuntimeError: the guide has not been called yet.
        """
        if not self._held:
            raise RuntimeError("the flow is made when the guide is first called: call guide(...), or take an SVI step")
        return self._held[0]

    def get_posterior(self, *args: Any, **kwargs: Any) -> FlowDistribution:
        """The flow as a distribution of Pyro.

        Raises:
            ValueError: `make` made a flow of another number of variables, or one with a context.
        """
        if not self._held:
            with torch.random.fork_rng(devices=[]):
                self._held = (_checked(self._make(self.latent_dim), self.latent_dim),)
        pyro.module(f"{self._pyro_name or type(self).__name__}.flow", self.flow)
        return PyroFlowDistribution(self.flow)


def _checked(flow: Flow, features: int) -> Flow:
    if flow.features != features or flow.context_features:
        context = f" given {flow.context_features}" if flow.context_features else ""
        raise ValueError(
            f"the model has {features} latent variables, each mapped to the line, so that make({features}) has to "
            f"return a flow of {features} features without context; it returned one of {flow.features}{context}"
        )
    return flow
