"""Models of other libraries as flows of ours, and flows of ours for other libraries."""

from .libraries import UntestedVersion
from .unsupported import Unsupported

__all__ = ["Unsupported", "UntestedVersion"]
