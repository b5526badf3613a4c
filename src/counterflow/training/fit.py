"""``fit``: the door of the optimisation loop."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..files import check_folder
from .averaging import ExponentialAverage
from .checks import check_counts, check_rates
from .devices import Devices, make_fabric
from .history import History
from .loop import Run
from .objective import Loss, negative_log_likelihood
from .optimiser import adamw
from .plan import Files, Plan, Training
from .progress import LOGGER, held_out_in_words
from .rows import Rows, checked_rows, effective_rows, held_out_split, with_mean_weight_one
from .schedule import Schedule, WarmupCosine
from .state import tensors_from_bytes, tensors_to_bytes
from .streams import stream_seed

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Data = Tensor | np.ndarray | Rows
HeldOut = float | Tensor | np.ndarray | Rows | Callable[[Any], Tensor]
FilePath = str | os.PathLike[str]


def fit(
    module: nn.Module,
    data: Data | None = None,
    *,
    loss: Loss | None = None,
    validation: HeldOut | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 256,
    optimiser: Callable[[Sequence[nn.Parameter]], Optimizer] | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    schedule: Schedule = WarmupCosine(),
    clip: float | None = 10.0,
    patience: int | None = None,
    average: ExponentialAverage | None = None,
    seed: int = 0,
    validate_every: int | None = None,
    validation_batch_size: int | None = None,
    checkpoint: FilePath | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    log: FilePath | None = None,
    tensorboard: FilePath | None = None,
    progress: bool | None = None,
    in_words: Callable[[float], str] = held_out_in_words,
    accelerator: str | None = None,
    devices: int = 1,
) -> History:
    r"""Minimise a loss over the parameters of a module, in place.

    .. math:: \min_\theta \; \frac{1}{N} \sum_{i=1}^{N} w_i \, \ell(\theta; x_i, c_i), \qquad \bar w = 1

    with :math:`\ell = -\log p_\theta(x_i \mid c_i)` (forward KL, maximum likelihood) unless ``loss`` says otherwise.
    Held-out data decides which weights are kept, and with ``patience`` when to stop; without it the last ones are kept.

    Everything is computed in the precision of the parameters.

    Randomness: ``seed`` fixes the split and the order of the rows. What the loss or a dropout draws comes from the
    global stream of torch, which ``fit`` itself neither seeds nor draws from; only ``resume`` puts it back.

    Args:
        module: Trained in place; its modes, its device and the ``requires_grad`` of its parameters are as before
            afterwards. If it has a method ``initialise_(x)`` or ``initialise_(x, context)``, that is called once at the
            start, on at most 4096 training rows.
        data: Rows, or an array of shape (N, D); floating values are cast to the dtype of the parameters. None: the loss
            draws its own samples.
        loss: ``loss(module, batch)`` gives one number, a mean over the rows of ``batch``, whose weights have mean 1
            over the data; ``batch`` is None without data.
        validation: Share of the data to hold out, or rows of their own, or a function of the module.
        steps: Updates in all. Exactly one of ``steps`` and ``epochs`` may be given; 100 epochs if neither is.
        epochs: Passes over the data in all.
        batch_size: Rows per update over all processes. The rows that do not fill a batch sit out one epoch.
        optimiser: Makes the optimiser from the trainable parameters; None: AdamW.
        learning_rate: Of AdamW, 1e-3 if not given.
        weight_decay: Of AdamW on parameters of two or more axes, 1e-4 if not given.
        schedule: Factor on the learning rate, step by step.
        clip: Bound on the Euclidean norm of the whole gradient; the history says how often it acted. None: no bound.
        patience: Stop after this many validations without a better one.
        average: Validate and return an average of the weights.
        seed: Of the split and of the order of the rows.
        validate_every: Steps between records; by default an epoch, or a hundredth of a step-driven run.
        validation_batch_size: Held-out rows at once, by default ``batch_size`` but at least 1024.
        checkpoint: File for the state of the training (safetensors), replaced as a whole each time.
        checkpoint_every: Steps between checkpoints; by default each record has one. The end and Ctrl-C write one too.
        resume: Go on from ``checkpoint``. On a CPU the result equals that of the uninterrupted run bit for bit, given
            the same number of threads.
        log: CSV file, one line per record.
        tensorboard: Folder for TensorBoard.
        progress: Show a bar; None: on a terminal.
        in_words: Says beside the bar what a held-out loss is.
        accelerator: Fabric's name of a kind of device; None: where the parameters are.
        devices: Number of processes with a device each. They are spawned, so the calling script needs the usual
            ``if __name__ == "__main__"``, unless torchrun made them. Ctrl-C then ends the run at its last checkpoint.

    Returns:
        The history; the module holds the weights of its ``best_step``.

    Raises:
        TypeError: ``data`` is none of the above, or a number that counts something is not whole.
        ValueError: A number is out of its range, the arguments contradict each other, the data are not finite, too few,
            or of no positive weight, or the checkpoint is of another run.
        FileExistsError: ``checkpoint`` or ``log`` exists and ``resume`` is not set.
        FileNotFoundError: ``resume`` without a checkpoint, or the folder of ``checkpoint`` or ``log`` is missing.
        TrainingDiverged: A loss or gradient was NaN or infinite; names the batch, its rows, the parameters and their
            group. Or the held-out loss was NaN.
        TrainingInterrupted: Ctrl-C (a KeyboardInterrupt); says how to go on.

    Cost: one forward and backward pass of the loss per step, one forward pass of it over the held-out rows per record.
    """
    check_counts(
        steps=steps,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        validate_every=validate_every,
        validation_batch_size=validation_batch_size,
        checkpoint_every=checkpoint_every,
        devices=devices,
    )
    check_rates(learning_rate=learning_rate, weight_decay=weight_decay, clip=clip)
    wanted = Devices(accelerator, devices)
    files = Files(_path(checkpoint), checkpoint_every, resume, _path(log), _path(tensorboard))
    _check_files(files)
    training, held_out = _split(data, validation, seed)
    batch_size, notes = _batch_size(batch_size, training, devices)
    per_epoch = None if training is None else training.rows.count // batch_size
    steps = _total_steps(steps, epochs, per_epoch, loss)
    if patience is not None and held_out is None:
        raise ValueError("patience counts validations without improvement: it needs validation data")
    if validate_every is None:
        validate_every = max(1, steps // 100) if per_epoch is None else per_epoch
    plan = Plan(
        loss=negative_log_likelihood if loss is None else loss,
        training=training,
        held_out=held_out,
        steps=steps,
        batch_size=batch_size,
        validation_batch_size=max(1024, batch_size) if validation_batch_size is None else validation_batch_size,
        validate_every=validate_every,
        make_optimiser=_optimiser(optimiser, learning_rate, weight_decay),
        schedule=schedule,
        clip=clip,
        patience=patience,
        average=average,
        seed=seed,
        files=files,
        progress=progress,
        in_words=in_words,
        notes=notes,
    )
    return _launched(module, plan, wanted)


def _path(path: FilePath | None) -> Path | None:
    return None if path is None else Path(path)


def _check_files(files: Files) -> None:
    if files.resume and files.checkpoint is None:
        raise ValueError("resume needs the path of the checkpoint to resume from")
    if files.resume and files.checkpoint is not None and not files.checkpoint.is_file():
        raise FileNotFoundError(f"there is no training checkpoint {files.checkpoint} to resume from")
    for path in (files.checkpoint, files.log):
        if path is not None:
            check_folder(path)
        if path is not None and path.exists() and not files.resume:
            raise FileExistsError(f"{path} exists; resume the run that wrote it with resume=True, or remove it")


def _split(
    data: Data | None, validation: HeldOut | None, seed: int
) -> tuple[Training | None, Rows | Callable[[Any], Tensor] | None]:
    """Training rows and what decides which weights are kept, with weights of mean 1 each."""
    rows = None if data is None else checked_rows(data, "training", 2)
    training = None if rows is None else Training(with_mean_weight_one(rows, "training"), None)
    if validation is None or (callable(validation) and not isinstance(validation, Tensor)):
        return training, validation
    if isinstance(validation, float | int):
        if rows is None:
            raise ValueError("without data there are no rows to hold out; pass validation rows or a function")
        kept, held = held_out_split(rows.count, validation, seed)
        training = Training(with_mean_weight_one(rows.take(kept.to(rows.x.device)), "training"), kept)
        return training, with_mean_weight_one(rows.take(held.to(rows.x.device)), "held-out")
    held_out = checked_rows(validation, "held-out", 1)
    if rows is not None and held_out.x.shape[1:] != rows.x.shape[1:]:
        raise ValueError(
            f"held-out rows have shape {tuple(held_out.x.shape[1:])}, training rows {tuple(rows.x.shape[1:])}"
        )
    if rows is not None and (held_out.context is None) != (rows.context is None):
        raise ValueError("training and held-out rows must either both have a context or both have none")
    return training, with_mean_weight_one(held_out, "held-out")


def _batch_size(batch_size: int, training: Training | None, devices: int) -> tuple[int, tuple[str, ...]]:
    """Rows per update, and what the caller should know about it and about the weights."""
    if training is None:
        return batch_size, ()
    notes: list[str] = []
    rows = training.rows
    if rows.weight is not None:
        notes.append(f"the weights leave {effective_rows(rows):.1f} effective rows of {rows.count}")
    if rows.count < batch_size:
        notes.append(f"the batch size {batch_size} was lowered to {rows.count}, the number of training rows")
        LOGGER.warning(notes[-1])
        batch_size = rows.count
    if batch_size % devices:
        raise ValueError(f"a batch of {batch_size} rows cannot be shared evenly by {devices} devices")
    return batch_size, tuple(notes)


def _total_steps(steps: int | None, epochs: int | None, per_epoch: int | None, loss: Loss | None) -> int:
    if steps is not None and epochs is not None:
        raise ValueError("give steps or epochs, not both")
    if per_epoch is not None:
        return steps if steps is not None else (100 if epochs is None else epochs) * per_epoch
    if steps is None or loss is None:
        raise ValueError("without data fit needs a loss that draws its own samples, and the number of steps")
    return steps


def _optimiser(
    optimiser: Callable[[Sequence[nn.Parameter]], Optimizer] | None,
    learning_rate: float | None,
    weight_decay: float | None,
) -> Callable[[Sequence[nn.Parameter]], Optimizer]:
    if optimiser is None:
        rate = 1e-3 if learning_rate is None else learning_rate
        return partial(adamw, learning_rate=rate, weight_decay=1e-4 if weight_decay is None else weight_decay)
    if learning_rate is not None or weight_decay is not None:
        raise ValueError("learning_rate and weight_decay belong to the default optimiser; set them in yours")
    return optimiser


def _launched(module: nn.Module, plan: Plan, wanted: Devices) -> History:
    """The run, in this process or in several."""
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError("the module has no parameter that requires a gradient: nothing to fit")
    device = next(module.parameters()).device
    fabric = make_fabric(wanted, module)
    try:
        if fabric.world_size == 1:
            return Run(fabric, module, plan).train()
        if "TORCHELASTIC_RUN_ID" in os.environ:
            fabric.launch()
            return Run(fabric, module, plan).train()
        # Inside a partial, since Fabric looks through plain arguments and results and refuses frozen dataclasses.
        history, state = fabric.launch(partial(_spawned, module=module, plan=plan))
        module.load_state_dict(tensors_from_bytes(state))
        return History.from_json(history)
    finally:
        module.to(device)


def _spawned(fabric: Fabric, *, module: nn.Module, plan: Plan) -> tuple[str, bytes]:
    """The run in a process of its own, on a copy: what arrives may share its memory with the other processes."""
    module = copy.deepcopy(module)
    torch.manual_seed(stream_seed(plan.seed, "process", fabric.global_rank))  # this process is ours, its stream too
    history = Run(fabric, module, plan).train()
    return history.to_json(), tensors_to_bytes(dict(module.state_dict()))
