"""Conditioners that are a program of masked steps: how solvers and kernels get to read them, and when they may not."""

import weakref
from abc import abstractmethod
from typing import TypeGuard

from torch import Tensor, nn

from ..shapes import Context, Shape, check_context
from ..tracing import transforming
from .conditioner import Conditioner, RepeatedPass, Stepper
from .masked_linear import MaskedLinear
from .masked_stepper import MaskedStepper
from .program import Layout, Linear, Program


def is_programmed(conditioner: Conditioner) -> TypeGuard["Programmed"]:
    """Whether the program says all of a pass: a subclass of a class of ours may compute something else."""
    return isinstance(conditioner, Programmed) and "program_is_forward" in type(conditioner).__dict__


class Programmed(Conditioner):
    """A masked network whose pass can be written down as a `Program`; solvers read that instead of calling it.

    A class whose `forward` computes what its program says declares `program_is_forward` in its own body.
    """

    layout: Layout
    dropout: float = 0.0

    @abstractmethod
    def _as_program(self) -> Program:
        """The steps of a pass, with the modules as they are now."""

    @abstractmethod
    def _parts(self) -> tuple[nn.Module | None, ...]:
        """Every module that the program may name: as long as these are the same, so is the program."""

    @abstractmethod
    def _linears(self) -> list[nn.Module]:
        """The masked layers, or what has been put in their places."""

    def _settle(self, layout: Layout) -> None:
        """The end of a constructor: the layout, and the program that goes with it."""
        self.layout = layout
        _PROGRAMS[self] = self._parts(), self._as_program()
        _CHECKED[layout] = [weakref.ref(mask) for mask in _masks(self._parts())]

    def stepper(self, batch_shape: Shape, context: Context | None = None) -> Stepper:
        """All rows one by one, each unit of the network evaluated once.

        Raises:
            RuntimeError: dropout is active, so that there is no one function to step through.

        Cost: the unmasked half of one dense pass, in D dependent steps; D passes if a layer has hooks or a forward of
            its own.
        """
        check_context(context, self.context_features)
        if self.dropout and self.training:
            raise RuntimeError("dropout makes this network a different function at every call: call eval() first")
        for layer in self._linears():  # no all(...), which the compiler of torch 2.8 cannot trace
            if not (isinstance(layer, MaskedLinear) and layer.is_its_weight):
                return RepeatedPass(self, batch_shape, context)
        return MaskedStepper(self.program(), self.layout, batch_shape, context)

    def plain_program(self) -> Program | None:
        """The program, if it says all: no layer has become something else (hooked, pruned, parametrised, adapted).

        For those who know that torch is at work on plain tensors (`tracing.plain_tensors`).

        Raises:
            ValueError: a mask has been changed to one that the layout does not fit.
        """
        program = self._known_program()
        if _observed(self):
            return None
        for step in program.steps:
            if type(step) is Linear:
                layer = step.layer
                if type(layer) is not MaskedLinear or _observed(layer):
                    return None
                if layer._buffers["mask"]._version:  # type: ignore[union-attr]  # written into: does the layout fit?
                    program.check(self.layout)
        return program

    def program(self) -> Program:
        """The network as data, for those who run it their own way; `layout` says when its units can be computed."""
        return self._as_program() if transforming() else self._known_program()

    def _known_program(self) -> Program:
        modules = self._parts()
        known = _PROGRAMS.get(self)
        if known is None or known[0] != modules:  # never seen, or a module has been replaced
            program, masks = self._as_program(), _masks(modules)
            if not _same(_CHECKED.get(self.layout, []), masks):  # a detached copy has the masks of its original
                program.check(self.layout)
                _CHECKED[self.layout] = [weakref.ref(mask) for mask in masks]
            known = _PROGRAMS[self] = (modules, program)
        return known[1]


def _observed(module: nn.Module) -> bool:
    """Whether a call would do more than the forward of its class: hooks, or a forward of the object's own."""
    own = vars(module)
    hooks = own["_forward_hooks"] or own["_forward_pre_hooks"] or own["_backward_hooks"] or own["_backward_pre_hooks"]
    return bool(hooks) or "forward" in own


# Made of modules alone, and kept beside the networks: a call changes nothing in a network.
_PROGRAMS: "weakref.WeakKeyDictionary[Programmed, tuple[tuple[nn.Module | None, ...], Program]]" = (
    weakref.WeakKeyDictionary()
)


# The masks that are known to be those of a layout.
_CHECKED: "weakref.WeakKeyDictionary[Layout, list[weakref.ref[Tensor]]]" = weakref.WeakKeyDictionary()


def _masks(modules: tuple[nn.Module | None, ...]) -> list[Tensor]:
    return [module.mask for module in modules if isinstance(module, MaskedLinear)]


def _same(known: "list[weakref.ref[Tensor]]", masks: list[Tensor]) -> bool:
    return len(known) == len(masks) and all(mine() is theirs for mine, theirs in zip(known, masks, strict=True))
