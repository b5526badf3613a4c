"""The order of generation that all layers of a bijection share, or the first layer that breaks it."""

from .bijections import Bijection, Chain, Inverse


def broken_order(bijection: Bijection) -> str | None:
    """A sentence that names the first layer whose order is not that of the layers before it; None if all share one."""
    shared: tuple[int, ...] | None = None
    for name, layer in _layers(bijection, "bijection"):
        order = layer.order
        if order is None or (order and shared is not None and order != shared):
            why = "mixes coordinates" if order is None else f"generates in the order {order}, layers before it {shared}"
            return f"{name} ({type(layer).__name__}) breaks the order: it {why}"
        shared = order or shared
    return None


def _layers(bijection: Bijection, name: str) -> list[tuple[str, Bijection]]:
    """The layers as they were written down, with their paths, whatever chains and inverses they lie in."""
    if isinstance(bijection, Inverse):
        return _layers(bijection.bijection, f"{name}.bijection")
    if not isinstance(bijection, Chain):
        return [(name, bijection)]
    parts = [_layers(part, f"{name}.parts.{i}") for i, part in enumerate(bijection.parts)]  # type: ignore[arg-type]
    return [layer for part in parts for layer in part]
