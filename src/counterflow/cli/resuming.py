"""What a training keeps beside its output until that is there, so that only the same one goes on from it."""

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .config import is_our_config, read_values, write_config
from .file_kinds import holds_state
from .refusal import OUTPUT, USAGE, Refusal

# Where files are, how fast it goes, and what is measured afterwards: a resumed training may change them.
FREE = ("teacher", "data", "out", "log", "report", "threads", "draws")
CONTENTS = {"teacher-content": "another teacher", "data-content": "other rows of context"}


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """The files of a training: there while it runs and after an interruption.

    Attributes:
        command: `fit` or `distil`.
        training: What the command does, in a word: "fit".
        out: The model to be.
        phases: Of the training; each has a state of its own.
    """

    command: str
    training: str
    out: Path
    phases: tuple[str, ...]

    @property
    def states(self) -> tuple[Path, ...]:
        """In the order of the phases."""
        return tuple(self.out.with_name(f"{self.out.stem}.{phase}{self.out.suffix}") for phase in self.phases)

    @property
    def options(self) -> Path:
        """One file, whichever of the states are there."""
        return self.states[0].with_suffix(".toml")

    @property
    def latest(self) -> Path | None:
        """The state of the last phase that has one."""
        return next((state for state in reversed(self.states) if state.exists()), None)

    def check(self, inputs: Iterable[Path], *, overwrite: bool, resume: bool) -> None:
        """Refuse a resumption of nothing, and to write over anything but an unfinished training of this output.

        Args:
            inputs: Files that the command reads.
            overwrite: An unfinished training may be thrown away.
            resume: It goes on.

        Raises:
            Refusal: with the reason.
        """
        inputs = list(inputs)
        for path in (*self.states, self.options):
            if path.exists():
                self._check_own(path, inputs, resume=resume)
        if resume and self.latest is None:
            raise Refusal(
                USAGE,
                f"--resume: there is no {self.states[0]}, the state that an interrupted {self.training} leaves behind",
            )
        if self.latest is not None and not (overwrite or resume):
            left = f"{self.latest} is left from an interrupted {self.training}"
            raise Refusal(OUTPUT, f"{left}; --resume goes on, --overwrite starts afresh")

    def check_options(self, options: Mapping[str, Any], left_out: Iterable[str] = ()) -> None:
        """Hold a training that goes on to the options of the one that began.

        Args:
            options: Of this command.
            left_out: Phases that these leave out.

        Raises:
            Refusal: an option, or what is in a file, is not what it was.
        """
        before = self._read() if self.options.is_file() else options
        for name in [*before, *options]:
            if name not in FREE and before.get(name) != options.get(name):
                if name in CONTENTS:
                    raise self._other(f"was written with {CONTENTS[name]}", "the files it was begun with")
                was, now = _shown(before.get(name)), _shown(options.get(name))
                raise self._other(f"was written with --{name} {was}, this is {now}", "the same options")
        for phase, state in zip(self.phases, self.states, strict=True):
            if phase in left_out and state.exists():
                raise self._other("is of a part of the training that this leaves out", "the same options", state)

    @contextlib.contextmanager
    def kept(self, options: Mapping[str, Any]) -> Iterator[None]:
        """Keeps the options in a file for as long as there is a state, even beyond this process."""
        if options and self.latest is None:
            write_config(self.options, options, self.command)
        try:
            yield
        finally:
            if self.latest is None:
                self.options.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all of it."""
        for path in (*self.states, self.options):
            path.unlink(missing_ok=True)

    def _check_own(self, path: Path, inputs: list[Path], *, resume: bool) -> None:
        if any(source.exists() and path.samefile(source) for source in inputs):
            raise Refusal(
                OUTPUT,
                f"{path} is an input of this command, and would be written over by what the {self.training} keeps "
                "until it is done; choose another --out",
            )
        if path == self.options:
            ours = is_our_config(path)
        else:
            ours = holds_state(path)
            if resume and not ours:
                raise Refusal(USAGE, f"--resume: {path} is damaged, or holds no state of a training run")
        if not ours:
            raise Refusal(
                OUTPUT,
                f"{path} is no file of an interrupted {self.training}, and would be written over by what this one "
                "keeps until it is done; choose another --out",
            )

    def _other(self, how: str, same: str, state: Path | None = None) -> Refusal:
        return Refusal(
            USAGE, f"--resume: {state or self.latest} {how}; resume with {same}, or --overwrite starts afresh"
        )

    def _read(self) -> Mapping[str, Any]:
        try:
            return read_values(self.options)
        except (OSError, ValueError) as error:
            raise Refusal(
                USAGE,
                f"--resume: {self.options}, the options of the interrupted {self.training}, cannot be read ({error})",
            ) from None


def _shown(value: Any) -> str:
    return "not given" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
