"""Flows as scikit-learn estimators."""

from .conditional import ConditionalFlowDensity
from .density import FlowDensity

__all__ = ["FlowDensity", "ConditionalFlowDensity"]
