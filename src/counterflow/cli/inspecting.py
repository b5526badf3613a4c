"""`counterflow inspect`: what a model file holds, in words."""

from pathlib import Path
from typing import Any

from ..report import costs_in_words, costs_of, folded, layers_in_words
from ..report.student_words import certificate_in_words, is_student, made_in_words
from ..tables.schema import Column
from ..tabular import TableModel
from .config import as_toml
from .console import Console
from .model_file import load_model
from .refusal import MODEL, Refusal


def run_inspect(path: Path, console: Console, *, configuration: bool) -> None:
    """The whole command; with `configuration` only what `fit --config` reads.

    Raises:
        Refusal: the model file, or one without a configuration.
    """
    fitted = load_model(path)
    if configuration:
        values = fitted.facts.get("configuration")
        if not values:
            raise Refusal(MODEL, f"{path} does not say with which options it was made")
        console.say(as_toml(values).rstrip())
        console.result(dict(values))
        return
    for line in _lines(path, fitted):
        console.say(line)
    console.result(_values(path, fitted))


def _parameters(fitted: TableModel) -> int:
    return sum(p.numel() for p in fitted.model.parameters())


def _lines(path: Path, fitted: TableModel) -> list[str]:
    model, schema = fitted.model, fitted.schema
    columns = f"{model.features} column{'s' * (model.features != 1)}"
    names = f": {', '.join(schema.names)}" if schema.named else ", without names"
    given = f", given {', '.join(schema.context_names)}" if schema.context else ""
    dtype = next((str(p.dtype).removeprefix("torch.") for p in model.parameters()), "without parameters")
    lines = [
        f"{path}: a density of {columns}{names}{given}.",
        *_columns(schema.columns, schema.context),
        *([f"  {schema.weight}: how much each training row counted"] if schema.weight is not None else []),
        f"{_parameters(fitted):,} parameters, {dtype}. From noise to data:",
        *(f"  {i}. {layer}" for i, layer in enumerate(folded(layers_in_words(model)), start=1)),
        *costs_in_words(model),
    ]
    return lines + _making(dict(fitted.facts))


def _columns(columns: tuple[Column, ...], context: tuple[Column, ...]) -> list[str]:
    """A line per column, if the file says anything of them."""
    lines: list[str] = []
    for role, part in (("", columns), (" (context)", context)):
        for column in part:
            if column.smallest == column.smallest:  # known
                unit = f", {column.unit}" if column.unit else ""
                kind = f"{column.kind.value}, {column.dtype}{unit}"
                seen = f"{column.smallest:g} to {column.largest:g} in training"
                support = "" if role else f"; support: {column.support_in_words()}"
                lines.append(f"  {column.name}{role}: {kind}; {seen}{support}")
    return lines


def _making(made: dict[str, Any]) -> list[str]:
    if is_student(made):
        return [made_in_words(made), certificate_in_words(made["certificate"]), _versions(made)]
    if "converted_from" in made:
        origin = made["converted_from"]
        return [f"Converted from {origin['file']}, a model of {origin['library']}."]
    if "training" not in made:
        return ["The file does not say how the model was made."]
    data, training, recipe = made["data"], made["training"], made["recipe"]
    run = f"{training['steps']:,} steps, {training['seconds']:.0f} s, seed {recipe['seed']}"
    where = f" of {data['file']}" if "file" in data else ""
    rows = f"{data['training_rows']:,} of the {data['rows']:,} rows{where}"
    lines = [f"Fitted to {rows} ({run}; {training['stopped_because']})."]
    score = made.get("held_out")
    if score:
        lines.append(
            f"Held-out log-likelihood: {_estimate(score['model'])} ({score['model']['rows']:,} {score['rows_are']})."
        )
        if "model_minus_gaussian" in score:
            lines.append(f"More than a fitted Gaussian by: {_estimate(score['model_minus_gaussian'])}.")
    return [*lines, _versions(made)]


def _versions(made: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return f"Made with {versions}" + (f", by: {made['command']}" if "command" in made else ".")


def _estimate(values: dict[str, Any]) -> str:
    error = values["standard_error"]
    return f"{values['mean']:.3f}" + (f" ± {error:.3f}" if error is not None else "") + " nats per row"


def _values(path: Path, fitted: TableModel) -> dict[str, Any]:
    costs = costs_of(fitted.model)
    return {
        "model": str(path),
        "columns": fitted.model.features,
        "names": list(fitted.schema.names) if fitted.schema.named else None,
        "schema": fitted.schema.to_json(),
        "parameters": _parameters(fitted),
        "layers": layers_in_words(fitted.model),
        "dependent_network_evaluations": {"score": costs.score, "sample": costs.sample},
        "metadata": dict(fitted.facts),
    }
