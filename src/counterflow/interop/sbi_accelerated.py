"""Trained estimators and posteriors of sbi, each flow inside replaced by the same density, inverted exactly."""

import copy
from collections.abc import Iterator
from typing import Any

from ..flow import Flow
from .libraries import importing
from .nflows import from_nflows
from .sbi_contexts import context_encoder
from .sbi_estimator import FlowEstimator
from .unsupported import Unsupported, named
from .zuko import from_zuko

with importing("sbi"):
    from sbi.inference import EnsemblePosterior, NeuralInference, VIPosterior
    from sbi.inference.posteriors.base_posterior import NeuralPosterior
    from sbi.neural_nets.estimators import NFlowsFlow, ZukoFlow
    from sbi.neural_nets.estimators.base import ConditionalDensityEstimator
    from sbi.utils.sbiutils import CallableTransform


def accelerated(posterior: Any) -> Any:
    """A trained estimator of sbi as one of ours, or a posterior with all of its estimators replaced so.

    Args:
        posterior: What `train` returned, of nflows or of zuko; or what `build_posterior` made of it: a
            `DirectPosterior`, an `EnsemblePosterior` of such, or one that scores such an estimator, or draws from one
            as its proposal (MCMC, rejection, importance sampling). It is left as it is.

    Returns:
        A `FlowEstimator`, or a copy of the posterior: the same density, with faster draws.

    Raises:
        Unsupported: nothing in it is a flow of nflows or zuko, or one has a part that cannot be converted.

    Error: rounding.
    """
    if isinstance(posterior, ConditionalDensityEstimator):
        return _estimator(posterior, "posterior")
    memo: dict[int, Any] = {}
    for place, old in _estimators(posterior, "posterior"):
        if id(old) not in memo:
            memo[id(old)] = _estimator(old, place)
    return copy.deepcopy(posterior, memo)


def _estimators(posterior: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Every estimator of the posterior itself that a posterior holds, with its place."""
    if not isinstance(posterior, NeuralPosterior):
        raise Unsupported(
            place,
            f"expected a posterior of sbi, or what train(...) returned, got a {named(posterior)}{_instead(posterior)}",
        )
    if isinstance(posterior, VIPosterior):
        raise Unsupported(place, "a VIPosterior draws from a family of its own, fitted to what the estimator scores")
    if isinstance(posterior, EnsemblePosterior):
        for i, each in enumerate(posterior.posteriors):
            yield from _estimators(each, f"{place}.posteriors[{i}]")
        return
    if hasattr(posterior, "posterior_estimator"):
        yield f"{place}.posterior_estimator", posterior.posterior_estimator
        return
    potential, proposal = posterior.potential_fn, getattr(posterior, "proposal", None)
    scored, drawn = hasattr(potential, "posterior_estimator"), isinstance(proposal, NeuralPosterior)
    if not (scored or drawn):
        raise Unsupported(
            place,
            f"a {type(posterior).__name__} with a {type(potential).__name__} holds no estimator of the posterior: it "
            "scores draws of something else, and there is nothing to invert",
        )
    if scored:
        yield f"{place}.potential_fn.posterior_estimator", potential.posterior_estimator
    if drawn:
        yield from _estimators(proposal, f"{place}.proposal")


def _instead(given: Any) -> str:
    """What somebody who gave this wants to write."""
    if isinstance(given, NeuralInference):
        return ": give what its train(...) returned, or what its build_posterior() makes of that"
    return {"nflows": ": from_nflows converts it", "zuko": ": from_zuko converts it"}.get(
        type(given).__module__.split(".")[0], ""
    )


def _estimator(old: Any, place: str) -> FlowEstimator:
    if isinstance(old, FlowEstimator):
        raise Unsupported(place, "a flow of Counterflow's own, which is inverted exactly already")
    try:
        flow = _flow(old, place)
    except Unsupported as error:
        if error.place == place:
            raise
        inner = "" if error.place == "flow" else f".{error.place}"
        raise Unsupported(f"{place}.net{inner}", str(error).removeprefix(f"{error.place}: ")) from error
    encoder = context_encoder(copy.deepcopy(old.embedding_net), old.condition_shape)
    if encoder is not None:
        encoder.to(next(flow.parameters()))
    new = FlowEstimator(Flow(flow.base, flow.bijection, context_encoder=encoder), old.input_shape, old.condition_shape)
    new.train(old.training)
    return new


def _flow(old: Any, place: str) -> Flow:
    if isinstance(old, NFlowsFlow):
        return from_nflows(old.net)
    if not isinstance(old, ZukoFlow):
        raise Unsupported(place, f"{named(old)} is no flow of nflows or zuko")
    if any(isinstance(module, CallableTransform) for module in old.net.modules()):
        raise Unsupported(
            place,
            "it was trained with z_score_theta='transform_to_unconstrained': its first transform is torch's bijection "
            "from the prior's support to the line, which has no equal here; train with z_score_theta='independent'",
        )
    return from_zuko(old.net)
