"""JSON specs: how a public object is written down, and built again without running foreign code.

The rule is scikit-learn's: a constructor stores each of its arguments under the argument's own name. The spec of an
object is then its registered name and the specs of those arguments, so no class writes serialisation code of its own.
Modules that are not ours (a user's context encoder, say) are written as a named hole that the loader must fill.
"""

import inspect
import math
import numbers
from collections.abc import Mapping
from typing import Any, TypeVar

from torch import nn

Spec = Any  # a JSON value
C = TypeVar("C", bound=type)

_REGISTRY: dict[str, type] = {}


def register(cls: C) -> C:
    """Class decorator: objects of this class have a spec, and are built again from it by name.

    Raises:
        ValueError: another class already has this name.
    """
    if _REGISTRY.setdefault(cls.__name__, cls) is not cls:
        raise ValueError(f"two classes are registered under the name {cls.__name__!r}")
    return cls


def registered() -> Mapping[str, type]:
    """Every registered class by name."""
    return dict(_REGISTRY)


class SpecError(ValueError):
    """An object cannot be written as a spec, or a spec cannot be built here."""


def spec_of(value: Any) -> Spec:
    """The JSON spec of a value: plain data, a registered object, a torch activation, or a foreign module.

    Raises:
        SpecError: the value is none of these.
    """
    return _encode(value, "", {})


def build(spec: Spec, modules: Mapping[str, nn.Module] | None = None) -> Any:
    """The inverse of `spec_of`; `modules` fills the foreign holes by their path.

    Raises:
        SpecError: an unknown class, or a foreign module that was not given.
    """
    return _decode(spec, "", dict(modules or {}), {})


def foreign_paths(spec: Spec) -> set[str]:
    """Where a spec has holes that the loader must fill."""
    if isinstance(spec, list):
        return set().union(*map(foreign_paths, spec))
    if not isinstance(spec, dict):
        return set()
    return {spec["foreign"]} if "foreign" in spec else set().union(*map(foreign_paths, spec.values()))


def _activation_class(name: str) -> type[nn.Module] | None:
    cls = getattr(nn.modules.activation, name, None) if name in nn.modules.activation.__all__ else None
    return cls if isinstance(cls, type) and issubclass(cls, nn.Module) else None


def _arguments(value: Any, path: str, seen: dict[int, str]) -> dict[str, Spec]:
    """The constructor's arguments, by the attributes of the same names."""
    arguments = {}
    for name, parameter in inspect.signature(type(value)).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or not hasattr(value, name):
            raise SpecError(f"{type(value).__name__} does not keep its constructor argument {name!r} as an attribute")
        arguments[name] = _encode(getattr(value, name), f"{path}.{name}".lstrip("."), seen)
    return arguments


def _torch_arguments(value: nn.Module) -> dict[str, Spec]:
    """The arguments of an activation of torch: those it keeps; the others, like `inplace`, leave the function alone."""
    kept = inspect.signature(type(value)).parameters.keys() - {"inplace", "device", "dtype"}
    return {name: _encode(getattr(value, name), name, {}) for name in sorted(kept) if hasattr(value, name)}


def _encode(value: Any, path: str, seen: dict[int, str]) -> Spec:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, numbers.Integral):  # NumPy's too
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, list | tuple | nn.ModuleList):
        return [_encode(item, f"{path}.{i}".lstrip("."), seen) for i, item in enumerate(value)]
    cls = type(value)
    if isinstance(value, nn.Module):
        if id(value) in seen:  # the same module in two places stays one module
            return {"same_as": seen[id(value)]}
        seen[id(value)] = path
    if _REGISTRY.get(cls.__name__) is cls:
        return {"type": cls.__name__, "arguments": _arguments(value, path, seen)}
    if _activation_class(cls.__name__) is cls and not list(value.parameters()):
        return {"torch.nn": cls.__name__, "arguments": _torch_arguments(value)}
    if isinstance(value, nn.Module):
        return {"foreign": path, "class": f"{cls.__module__}.{cls.__qualname__}"}
    raise SpecError(f"{path or 'the object'}: a {cls.__name__} cannot be written as a spec; register its class")


def _decode(spec: Spec, path: str, modules: dict[str, nn.Module], built: dict[str, Any]) -> Any:
    if isinstance(spec, list):
        return tuple(_decode(item, f"{path}.{i}".lstrip("."), modules, built) for i, item in enumerate(spec))
    if not isinstance(spec, dict):
        return spec
    if "float" in spec:
        return float(spec["float"])
    if "same_as" in spec:
        return built[spec["same_as"]]
    if "foreign" in spec:
        where = spec["foreign"]
        if where not in modules:
            raise SpecError(
                f"this model holds a {spec['class']} at {where!r}, which is not part of Counterflow: "
                f"build one and pass it as modules={{{where!r}: module}}"
            )
        value: Any = modules[where]
    else:
        cls = _REGISTRY.get(spec["type"]) if "type" in spec else _activation_class(spec.get("torch.nn", ""))
        if cls is None:
            raise SpecError(f"unknown class {spec.get('type', spec.get('torch.nn'))!r}: written by a newer version?")
        arguments = {
            name: _decode(argument, f"{path}.{name}".lstrip("."), modules, built)
            for name, argument in spec["arguments"].items()
        }
        value = cls(**arguments)
    built[path] = value
    return value
