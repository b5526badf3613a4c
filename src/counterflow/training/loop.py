"""The optimisation loop."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from .averaging import copy_, exchanged
from .batches import Batches
from .devices import quiet
from .fingerprint import check_fingerprint, fingerprint
from .guard import divergence, drop_gradients_, gradient_norm, held_out_divergence, scale_gradients_
from .history import History, Record
from .interrupt import Interrupt, TrainingInterrupted, deferred_interrupt
from .objective import Objective
from .plan import Plan
from .progress import ProgressBar
from .rows import Rows
from .sinks import CsvLog, Sink, TensorBoardLog
from .standing import Interval, Standing
from .state import random_state, read_state, restore_random_state, write_state
from .streams import stream_seed
from .validation import held_out_loss

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Run:
    """One run of ``fit`` in one process.

    A step is a function of the standing, the tensors and the global random streams alone, and all are in a checkpoint.
    """

    def __init__(self, fabric: Fabric, module: nn.Module, plan: Plan) -> None:
        self.fabric, self.module, self.plan = fabric, module, plan
        module.to(fabric.device)
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        dtype = self.parameters[0].dtype
        self.batches = Batches(plan, fabric.device, dtype, rank=fabric.global_rank, world=fabric.world_size)
        self.held_out = plan.held_out.to(fabric.device, dtype) if isinstance(plan.held_out, Rows) else plan.held_out
        self.at = Standing()
        self.best: dict[str, Any] | None = None
        self.saved_step: int | None = None
        if not plan.files.resume:
            self._initialise()
        self.average = [p.detach().clone() for p in self.parameters] if plan.average is not None else None
        self.optimiser = plan.make_optimiser(self.parameters)
        self.fingerprint = {} if plan.files.checkpoint is None else fingerprint(plan, module, self.optimiser)
        for group in self.optimiser.param_groups:
            group.setdefault("initial_lr", group["lr"])
        with quiet():
            objective = Objective(module, plan.loss)
            self.objective, self.stepper = fabric.setup(objective, self.optimiser, move_to_device=False)
        if plan.files.resume and plan.files.checkpoint is not None:
            self._restore(read_state(plan.files.checkpoint))
        self.after = plan.schedule.after(self.at.validations())

    def train(self) -> History:
        """Run to the end; the module is left with the weights to keep and in the caller's modes.

        Raises:
            TrainingInterrupted: Ctrl-C; after the step was completed and stored, unless pressed twice.
            TrainingDiverged: A loss or gradient was not finite.
        """
        modes = [(part, part.training) for part in self.module.modules()]
        shown = self.plan.progress if self.fabric.is_global_zero else False
        self.bar = ProgressBar(self.plan.steps, shown, self.plan.in_words)
        self.sinks = self._open_sinks()
        for note in self.plan.notes:
            self.bar.say(note)
        self.since = time.perf_counter()
        try:
            with deferred_interrupt(self.fabric.world_size == 1) as interrupt:
                return self.history(self._loop(interrupt))
        except KeyboardInterrupt as error:
            path = self.plan.files.checkpoint
            raise TrainingInterrupted(path, self.history("interrupted"), self.saved_step) from error
        finally:
            self._keep_best()
            drop_gradients_(self.parameters)
            for part, mode in modes:
                part.training = mode
            for sink in self.sinks:
                sink.close()
            self.bar.close()

    def history(self, stopped_because: str) -> History:
        """The run so far, as a value."""
        at, plan, rows = self.at, self.plan, self.batches.rows
        validated = at.best_step > 0
        epochs = None if plan.steps_per_epoch is None or at.step == 0 else at.step / plan.steps_per_epoch
        return History(
            records=tuple(at.records),
            best_step=at.best_step if validated else at.step,
            best_validation=at.best_validation if validated else None,
            stopped_because=stopped_because,
            steps=at.step,
            rows=None if rows is None else rows.count,
            effective_rows=plan.effective_rows,
            seconds=at.seconds,
            seconds_per_epoch=None if epochs is None else at.training_seconds / epochs,
            notes=plan.notes,
        )

    def _loop(self, interrupt: Interrupt) -> str:
        self.module.train()
        every = self.plan.files.checkpoint_every
        while (reason := self._finished()) is None:
            self._advance()
            recorded = self.at.step % self.plan.validate_every == 0 or self.at.step == self.plan.steps
            if recorded:
                self._record()
            if interrupt.asked or (recorded if every is None else self.at.step % every == 0):
                self._save()
            if interrupt.asked:
                raise KeyboardInterrupt
        if self.saved_step != self.at.step:
            self._save()
        return reason

    def _finished(self) -> str | None:
        """Why no step follows, None if one does; a function of the standing, so that a finished run stays finished."""
        if self.at.step >= self.plan.steps:
            return f"all {self.plan.steps} steps are done"
        if self.plan.patience is None or self.at.waited() < self.plan.patience:
            return None
        return f"no better held-out loss in {self.at.waited()} validations, the best was at step {self.at.best_step}"

    def _advance(self) -> None:
        """One step: loss, gradient, guard, update."""
        plan, at = self.plan, self.at
        batch = self.batches.at(at.step)
        value = self.objective() if batch is None else self.objective(batch[0].x, batch[0].context, batch[0].weight)
        self.fabric.backward(value)
        # One transfer for both numbers: on an accelerator each would wait for the device.
        loss, norm = torch.stack((value.detach().double(), gradient_norm(self.parameters).double())).tolist()
        factor = plan.schedule.at_step(at.step, plan.steps) * self.after
        for group in self.optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if not math.isfinite(loss) or not math.isfinite(norm):
            suspects = None if batch is None else (batch[0], self.batches.callers_index(batch[1]))
            raise divergence(self.module, self.optimiser, suspects, self.batches.place(at.step), loss=loss)
        if plan.clip is not None and norm > plan.clip:
            scale_gradients_(self.parameters, plan.clip / norm)
            at.interval.clipped += 1
        self.stepper.step()
        drop_gradients_(self.parameters)
        if self.average is not None and plan.average is not None:
            plan.average.update_(self.average, self.parameters, at.step)
        at.step += 1
        at.interval.steps += 1
        at.interval.loss += loss
        at.interval.norm += norm
        self.bar.advance(at.step, loss)

    def _record(self) -> None:
        """Validate, write a record, keep the weights if they are the best so far."""
        at, plan, interval = self.at, self.plan, self.at.interval
        self._book(training=True)
        with exchanged(self.parameters, self.average) if self.average is not None else nullcontext():
            validation = held_out_loss(self.fabric, self.module, plan, self.held_out)
            if validation is not None and math.isnan(validation):
                raise held_out_divergence(self.module, self.held_out, self.batches.place(at.step))
            if validation is not None and validation < at.best_validation:
                at.best_validation, at.best_step = validation, at.step
                self.best = {name: _copy(value) for name, value in self.module.state_dict().items()}
        self._book(training=False)
        record = Record(
            step=at.step,
            epoch=None if plan.steps_per_epoch is None else at.step / plan.steps_per_epoch,
            loss=self._mean_over_processes(interval.loss / interval.steps),
            validation=validation,
            learning_rate=float(self.optimiser.param_groups[0]["lr"]),
            gradient_norm=interval.norm / interval.steps,
            clipped=interval.clipped / interval.steps,
            seconds=at.seconds,
        )
        at.records.append(record)
        at.interval = Interval()
        self.after = plan.schedule.after(at.validations())
        self.bar.validated(record)
        for sink in self.sinks:
            sink.write(record)

    def _mean_over_processes(self, value: float) -> float:
        if self.fabric.world_size == 1:
            return value
        local = torch.tensor(value, dtype=torch.float64, device=self.fabric.device)
        return float(cast(Tensor, self.fabric.all_reduce(local, reduce_op="mean")))

    def _book(self, *, training: bool) -> None:
        """Book the time since the last call, as training or as something else."""
        now = time.perf_counter()
        self.at.seconds += now - self.since
        self.at.training_seconds += now - self.since if training else 0.0
        self.since = now

    def _save(self) -> None:
        self._book(training=True)
        path = self.plan.files.checkpoint
        if path is None or not self.fabric.is_global_zero:
            return
        tree = {
            "fingerprint": self.fingerprint,
            "standing": self.at.to_tree(),
            "module": dict(self.module.state_dict()),
            "best": self.best,
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "random": random_state(self.fabric.device),
        }
        write_state(path, tree)
        self.saved_step = self.at.step
        self._book(training=False)

    def _restore(self, tree: dict[str, Any]) -> None:
        check_fingerprint(cast(Any, self.plan.files.checkpoint), tree["fingerprint"], self.fingerprint)
        self.at = Standing.from_tree(tree["standing"])
        self.module.load_state_dict(tree["module"])
        self.best = tree["best"]
        if self.average is not None:
            self.average = [value.to(self.fabric.device) for value in tree["average"]]
        self.optimiser.load_state_dict(tree["optimiser"])
        if self.fabric.global_rank == 0:
            restore_random_state(tree["random"], self.fabric.device)
        else:  # one stream is stored; the others start anew at this step, so only one process resumes bit for bit
            torch.manual_seed(stream_seed(self.plan.seed, "resumed", self.fabric.global_rank, self.at.step))
        self.saved_step = self.at.step

    def _keep_best(self) -> None:
        if self.best is not None:
            self.module.load_state_dict(self.best)
        elif self.average is not None:
            copy_(self.parameters, self.average)

    def _initialise(self) -> None:
        """The module's own data-dependent start."""
        initialise, rows = getattr(self.module, "initialise_", None), self.batches.start()
        if rows is None or initialise is None:
            return
        with torch.no_grad():
            initialise(rows.x) if rows.context is None else initialise(rows.x, rows.context)

    def _open_sinks(self) -> list[Sink]:
        files = self.plan.files
        sinks: list[Sink] = []
        if self.fabric.is_global_zero and files.log is not None:
            sinks.append(CsvLog(files.log, self.at.records))
        if self.fabric.is_global_zero and files.tensorboard is not None:
            sinks.append(TensorBoardLog(files.tensorboard))
        return sinks


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value
