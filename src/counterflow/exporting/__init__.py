"""Samplers without Python: a flow's one-pass sampler as ONNX, and as a program of `torch.export`."""

from .problem import ExportProblem
from .program import export_program
from .written import Exported, export_onnx, export_torch

__all__ = ["ExportProblem", "Exported", "export_onnx", "export_program", "export_torch"]
