"""`counterflow convert`: a model of another library as a model file of ours."""

import warnings
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import save
from ..flow import Flow
from ..interop import Unsupported, from_nflows, from_normflows, from_pyro, from_zuko
from ..spec import SpecError, foreign_paths, spec_of
from .console import Console
from .file_kinds import holds_model, holds_state, is_broken_archive, is_pickle, is_saved_by_torch
from .model_file import check_file
from .origins import Origin
from .outputs import check_output
from .refusal import MODEL, USAGE, Refusal

_CONVERTERS = {
    Origin.ZUKO: from_zuko,
    Origin.NFLOWS: from_nflows,
    Origin.NORMFLOWS: from_normflows,
    Origin.PYRO: from_pyro,
}


def run_convert(path: Path, out: Path, origin: Origin, console: Console, *, trust: bool, overwrite: bool) -> None:
    """The whole command.

    Raises:
        Refusal: a pickle that is not trusted, a file of another kind, a part that cannot be converted, or the output.
    """
    check_output(out, [".safetensors"], overwrite=overwrite, inputs=[path])
    model = _read(path, origin, trust=trust)
    with warnings.catch_warnings(record=True) as caught, console.waiting("converting and checking"):
        warnings.simplefilter("always")
        flow = _converted(path, model, origin)
    for warning in caught:
        console.say(f"Note: {warning.message}")
    try:
        save(out, flow, metadata={"converted_from": {"library": str(origin), "file": path.name}})
    except SpecError as error:
        raise Refusal(MODEL, f"{path}: {error}") from error
    numbers = sum(parameter.numel() for parameter in flow.parameters())
    given = f", given {flow.context_features}" if flow.context_features else ""
    console.say(f"Wrote {out}: a flow of {flow.features} columns{given}, {numbers:,} parameters.")
    console.say(f"Log densities agree with {origin} at random points; draws are exact, by the fast inverse.")
    foreign = sorted(foreign_paths(spec_of(flow)))
    if foreign:
        console.say(
            f"It holds networks of its own ({', '.join(foreign)}): counterflow.load(path, modules=...) needs them."
        )
    console.result(
        {
            "written": [str(out)],
            "from": str(origin),
            "features": flow.features,
            "context_features": flow.context_features,
            "parameters": numbers,
        }
    )


def _converted(path: Path, model: Any, origin: Origin) -> Flow:
    try:
        return _CONVERTERS[origin](model)
    except Unsupported as error:
        raise Refusal(MODEL, f"{path}: {error}") from error
    except ImportError as error:
        raise Refusal(USAGE, str(error)) from error


def _read(path: Path, origin: Origin, *, trust: bool) -> Any:
    _check_kind(path, origin)
    found = _without_code(path)
    if found is None and not trust:
        raise Refusal(
            USAGE,
            f"{path} is a pickle: reading it runs whatever code was put into it, as you. If you made it, or trust who "
            "did, add --trust-pickle",
        )
    try:
        whole = torch.load(path, map_location="cpu", weights_only=False) if found is None else found
    except ModuleNotFoundError as error:
        raise Refusal(USAGE, f"{path} needs {error.name}, which is not installed") from error
    except Exception as error:  # damaged pickles raise anything
        raise Refusal(MODEL, f"{path}: damaged, or made for other versions of its libraries ({error})") from error
    if isinstance(whole, dict) and set(whole) == {"params", "constraints"}:
        raise Refusal(
            MODEL,
            f"{path} holds a parameter store of Pyro, no distribution: in Python, build the transforms as your "
            "training script does, load the store into them, and call counterflow.interop.from_pyro(distribution)",
        )
    if found is not None:
        kind = type(found).__name__
        article = "an" if kind[0] in "AEIOUaeiou" else "a"
        raise Refusal(MODEL, f"{path} holds weights alone ({article} {kind}), no model: {_in_python(origin)}")
    return whole


def _check_kind(path: Path, origin: Origin) -> None:
    """Refuse what cannot be a model that `torch.save` wrote, before anything in it is read."""
    check_file(path, "a file that torch.save wrote")
    if holds_model(path):
        raise Refusal(MODEL, f"{path} is a model file of Counterflow already: every command reads it as it is")
    if holds_state(path):
        raise Refusal(MODEL, f"{path} is the state of an unfinished training, no model")
    if path.suffix == ".safetensors":
        raise Refusal(MODEL, f"{path} holds weights alone, no model: {_in_python(origin)}")
    if is_broken_archive(path):
        raise Refusal(MODEL, f"{path} is damaged or cut short")
    if is_saved_by_torch(path):
        return
    if is_pickle(path):
        raise Refusal(
            MODEL, f"{path} is a pickle that torch.save did not write: save the model by torch.save(model, path)"
        )
    raise Refusal(MODEL, f"{path} is no file that torch.save wrote")


def _without_code(path: Path) -> Any:
    """What the file holds, if that is weights: nothing in it is executed to find out. None if it is more."""
    try:
        with warnings.catch_warnings():  # of a protocol that such a reading might not know: then it fails
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a pickle of classes: torch raises many kinds
        return None


def _in_python(origin: Origin) -> str:
    return f"load them into the {origin} model in Python and call counterflow.interop.from_{origin}(model)"
