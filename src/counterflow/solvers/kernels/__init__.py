"""Kernels of the recursion over coordinates, and who can take what."""

from .dispatch import Kernel, kernel_for, kernels_for

__all__ = ["Kernel", "kernel_for", "kernels_for"]
