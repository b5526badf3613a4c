"""Kernels of the recursion over coordinates, and who can take what."""

from .dispatch import kernel_for, kernels_for

__all__ = ["kernel_for", "kernels_for"]
