"""`counterflow inspect`: what a model file holds, in words."""

from pathlib import Path
from typing import Any

from ..report import costs_in_words, costs_of, folded, layers_in_words
from .console import Console
from .model_file import FittedModel, load_model


def run_inspect(model: Path, console: Console) -> None:
    """The whole command.

    Raises:
        Refusal: the model file.
    """
    fitted = load_model(model)
    for line in _lines(fitted):
        console.say(line)
    console.result(_values(fitted))


def _parameters(fitted: FittedModel) -> int:
    return sum(p.numel() for p in fitted.model.parameters())


def _lines(fitted: FittedModel) -> list[str]:
    model, made = fitted.model, fitted.metadata
    columns = f"{model.features} column{'s' * (model.features != 1)}"
    names = f": {', '.join(fitted.names)}" if fitted.names else ", without names"
    lines = [
        f"{fitted.path}: a density of {columns}{names}.",
        f"{_parameters(fitted):,} parameters, {fitted.header['dtype']}. From noise to data:",
        *(f"  {i}. {layer}" for i, layer in enumerate(folded(layers_in_words(model)), start=1)),
        *costs_in_words(model),
    ]
    return lines + _making(made)


def _making(made: dict[str, Any]) -> list[str]:
    if "training" not in made:
        return ["The file does not say how the model was made."]
    data, training, recipe = made["data"], made["training"], made["recipe"]
    run = f"{training['steps']:,} steps, {training['seconds']:.0f} s, seed {recipe['seed']}"
    rows = f"{data['training_rows']:,} of the {data['rows']:,} rows of {data['file']}"
    lines = [f"Fitted to {rows} ({run}; {training['stopped_because']})."]
    score = made.get("held_out")
    if score:
        lines.append(
            f"Held-out log-likelihood: {_estimate(score['model'])} ({score['model']['rows']:,} {score['rows_are']})."
        )
        if "model_minus_gaussian" in score:
            lines.append(f"More than a fitted Gaussian by: {_estimate(score['model_minus_gaussian'])}.")
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return [*lines, f"Made with {versions}, by: {made['command']}"]


def _estimate(values: dict[str, Any]) -> str:
    error = values["standard_error"]
    return f"{values['mean']:.3f}" + (f" ± {error:.3f}" if error is not None else "") + " nats per row"


def _values(fitted: FittedModel) -> dict[str, Any]:
    costs = costs_of(fitted.model)
    return {
        "model": str(fitted.path),
        "columns": fitted.model.features,
        "names": list(fitted.names) if fitted.names else None,
        "parameters": _parameters(fitted),
        "layers": layers_in_words(fitted.model),
        "dependent_network_evaluations": {"score": costs.score, "sample": costs.sample},
        "metadata": fitted.metadata,
    }
