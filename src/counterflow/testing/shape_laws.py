"""Laws on shape, precision and device: any leading batch axes, each row for itself, everything as the input has it."""

import torch
from torch import Tensor

from .cases import BATCHES, Call, Case, Law, agree_all, require


def dtype_follows_the_input(case: Case) -> None:
    """Float32 in, float32 out; float64 in, float64 out."""
    for dtype in (torch.float32, torch.float64):
        for batch in BATCHES[:2]:
            own = case.with_(dtype=dtype, batch=batch)
            subject = own.subject()
            for call in own.calls(subject):
                for k, result in enumerate(call(subject)):
                    require(result.dtype == dtype, f"{call.name}, result {k}: {result.dtype} from {dtype}")


def device_follows_the_input(case: Case) -> None:
    """Nothing is made on the default device: on another default device the answer is the same."""
    subject = case.subject()
    for call in case.calls(subject):
        expected = call(subject)
        with torch.device("meta"):  # whatever is made without a device now has no values
            found = call(subject)
        for k, result in enumerate(found):
            require(
                result.device == call.point.device, f"{call.name}, result {k}, is on the default device {result.device}"
            )
        agree_all(found, expected, call.name)


def shape_is_the_batch_and_the_event(case: Case) -> None:
    """Results have the batch axes of the input, any number of them, and then the event."""
    for batch in (*BATCHES, (1,), (2, 1, 3)):
        own = case.with_(batch=batch)
        subject = own.subject()
        for call in own.calls(subject):
            for k, (result, event) in enumerate(zip(call(subject), call.events, strict=True)):
                expected = (*batch, *event)
                require(
                    tuple(result.shape) == expected,
                    f"{call.name}, result {k}: shape {tuple(result.shape)}, expected {expected}",
                )


def batch_axes_equal_a_loop(case: Case) -> None:
    """Extra leading axes equal a loop over them."""
    own = case.with_(batch=(2, 3))
    subject = own.subject()
    for call in own.calls(subject):
        whole = call(subject)
        for i in range(2):
            for j in range(3):
                row = call.function(subject, call.point[i, j], _at(call, (i, j)))
                agree_all(row, tuple(result[i, j] for result in whole), f"{call.name} of row {(i, j)} alone")


def rows_do_not_see_each_other(case: Case) -> None:
    """A permuted batch gives permuted answers, and a larger batch the same answers for the same rows."""
    own = case.with_(batch=(5,))
    subject = own.subject()
    order = torch.tensor([3, 0, 4, 1, 2])
    for call in own.calls(subject):
        whole = call(subject)
        shuffled = call.function(subject, call.point[order], _at(call, order))
        agree_all(shuffled, tuple(result[order] for result in whole), f"{call.name} of a permuted batch")
        some = call.function(subject, call.point[:2], _at(call, slice(2)))
        agree_all(some, tuple(result[:2] for result in whole), f"{call.name} of part of a batch")


def strided_input_is_the_same_input(case: Case) -> None:
    """Views with strides, and expanded tensors, are treated like contiguous ones."""
    own = case.with_(batch=(2, 3))
    subject = own.subject()
    for call in own.calls(subject):
        expected = call(subject)
        strided = torch.stack([call.point, call.point + 1], -1)[..., 0]
        context = None if call.context is None else torch.stack([call.context, call.context + 1], -1)[..., 0]
        agree_all(call.function(subject, strided, context), expected, f"{call.name} of a view")
        turned = call.point.transpose(0, 1).contiguous().transpose(0, 1)
        agree_all(call.function(subject, turned, call.context), expected, f"{call.name} of a transposed view")


def an_empty_batch_is_a_batch(case: Case) -> None:
    """A batch of no rows gives no rows, with gradients and without."""
    own = case.with_(batch=(4,))
    subject = own.subject()
    for call in own.calls(subject):
        for mode in (torch.enable_grad, torch.no_grad):
            with mode():
                results = call.function(subject, call.point[:0], _at(call, slice(0)))
            for k, (result, event) in enumerate(zip(results, call.events, strict=True)):
                require(
                    tuple(result.shape) == (0, *event),
                    f"{call.name}, result {k}: shape {tuple(result.shape)} from an empty batch",
                )


def point_and_context_broadcast(case: Case) -> None:
    """Batch axes of point and context broadcast, and the answer equals that of the expanded tensors."""
    if not case.context_features:
        return
    for point_batch, context_batch in (((3, 1), (2,)), ((), (3,)), ((3,), ()), ((1,), (4, 2))):
        subject = case.subject()
        batch = torch.broadcast_shapes(point_batch, context_batch)
        context = case.with_(batch=context_batch).context()
        assert context is not None
        wide = context.expand(*batch, -1)
        for call in case.with_(batch=point_batch).calls(subject):
            expected = call.function(subject, call.point.expand(*batch, -1), wide)
            found = call.function(subject, call.point, context)
            agree_all(found, expected, f"{call.name} of batch {point_batch} with a context of batch {context_batch}")


def _at(call: Call, index: object) -> Tensor | None:
    return None if call.context is None else call.context[index]  # type: ignore[index]


LAWS = (
    Law(dtype_follows_the_input, (1, 3)),
    Law(device_follows_the_input, (1, 3)),
    Law(shape_is_the_batch_and_the_event, (1, 3)),
    Law(batch_axes_equal_a_loop, (1, 4)),
    Law(rows_do_not_see_each_other, (1, 3)),
    Law(strided_input_is_the_same_input, (1, 3)),
    Law(an_empty_batch_is_a_batch, (1, 3)),
)
CONTEXT_LAWS = (Law(point_and_context_broadcast, (1, 3)),)
