"""What an exported file says of itself, for those who read it without Python."""

import importlib.metadata
import json
from typing import Any

from torch import Tensor

from ..bases import Base, NormalMixtureBase, StandardLogistic, StandardNormal, StudentT, Uniform
from ..tables.schema import Column, Schema
from .sampler import Sampler

PREFIX = "counterflow."
_NAMES: dict[type[Base], str] = {
    StandardNormal: "standard normal",
    StandardLogistic: "standard logistic",
    Uniform: "uniform",
    StudentT: "student t",
    NormalMixtureBase: "mixture of diagonal normals",
}


def facts(sampler: Sampler, context: Tensor | None, schema: Schema | None) -> dict[str, Any]:
    """JSON values: version, sizes, precision, the law of the noise, and the columns if it is a model of a table.

    Args:
        sampler: What is exported.
        context: Some, (B, ...), if it takes one.
        schema: Of a model of a table.
    """
    return {
        "version": importlib.metadata.version("counterflow"),
        "about": about(sampler, context, schema),
        "features": sampler.features,
        "context_shape": [] if context is None else list(context.shape[1:]),
        "dtype": str(sampler.noise.anchor.dtype).removeprefix("torch."),
        "noise": noise_law(sampler.noise),
        **({} if schema is None else _columns(schema)),
    }


def as_text(values: dict[str, Any]) -> dict[str, str]:
    """The same for a file that keeps text by name: what is not text is JSON, the names begin with `counterflow.`."""
    return {PREFIX + name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}


def noise_law(base: Base) -> dict[str, Any]:
    """The law of the noise by name, with all numbers that are needed to draw it.

    Coordinates are independent; but all of a row of a mixture come from the same component. Of a base of the user's
    own: the name of its class.
    """
    values: dict[str, Any] = {}
    if isinstance(base, Uniform):
        values = {"low": base.low, "high": base.high}
    elif isinstance(base, StudentT):
        values = {"degrees_of_freedom": base.nu.tolist()}
    elif isinstance(base, NormalMixtureBase):
        weights, scale = base.logits.softmax(-1), base.log_scale.exp()
        values = {"weights": weights.tolist(), "loc": base.loc.tolist(), "scale": scale.tolist()}
    return {"law": _NAMES.get(type(base), type(base).__name__), **values}


def about(sampler: Sampler, context: Tensor | None, schema: Schema | None) -> str:
    """What the program computes, in a few sentences."""
    shape = "" if context is None else ", ".join(["B", *map(str, context.shape[1:])])
    given = "" if context is None else f", given a context ({shape})"
    law = noise_law(sampler.noise)["law"]
    sentences = [
        f"x = f(noise{'' if context is None else ', context'}): draws x (B, {sampler.features}) of a density, "
        f"from noise (B, {sampler.features}){given}.",
        f"The caller draws the noise: {law}, each row anew.",
    ]
    if sampler.log_prob:
        sentences.append("log_prob (B) is the log density of x, in nats.")
    if schema is not None:
        sentences.append("x is in the columns' own units.")
        if schema.whole:
            sentences.append("Columns of whole numbers k hold k + u, 0 <= u < 1: round them down.")
        if any(column.bounded for column in schema.columns):
            sentences.append("Draws may pass the end of a support by about 1e-6 of its scale: clip them.")
    return " ".join(sentences)


def _columns(schema: Schema) -> dict[str, Any]:
    return {
        "columns": [_column(column) for column in schema.columns],
        "context_columns": [_column(column) for column in schema.context],
    }


def _column(column: Column) -> dict[str, Any]:
    """Name, kind and type, and what is known of unit and ends."""
    ends = {"low": column.low, "high": column.high}
    return {
        "name": column.name,
        "kind": str(column.kind),
        "dtype": column.dtype,
        **({} if column.unit is None else {"unit": column.unit}),
        **{name: end for name, end in ends.items() if abs(end) < float("inf")},
    }
