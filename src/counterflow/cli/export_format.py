"""The formats that `counterflow export` writes; writing them takes torch, naming them does not."""

import enum


class Format(enum.StrEnum):
    """What to write."""

    ONNX = "onnx"
    TORCH = "torch"


EXTENSIONS = {Format.ONNX: ".onnx", Format.TORCH: ".pt2"}
