"""Models of other libraries as flows of ours, and flows of ours for other libraries."""

from .flow_distribution import FlowDistribution
from .libraries import UntestedVersion
from .nflows import from_nflows
from .normflows import from_normflows
from .pyro import from_pyro
from .torch_distribution import to_torch_distribution
from .unsupported import Unsupported
from .zuko import from_zuko

__all__ = [
    "Unsupported",
    "UntestedVersion",
    "from_nflows",
    "from_zuko",
    "from_normflows",
    "from_pyro",
    "FlowDistribution",
    "to_torch_distribution",
]
