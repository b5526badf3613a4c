"""The CPU kernel for one sample: every unit is one dot product with a row of weights."""

from .activations import activate
from .codes import (
    ACTIVATE,
    ADD,
    BIAS,
    EVALUATE,
    FOUND,
    GATE,
    GIVEN,
    LINEAR,
    LOG_DET,
    PLACE_DATA,
    PLACE_ROWS,
    PLACE_STRIDE,
    SCATTERED,
    SHIFT,
    STEP_CODE,
    STEP_COLUMNS,
    STEP_DATA,
    STEP_KIND,
    STEP_ROWS,
    STEP_SOURCE,
    STEP_STRIDE,
    STEP_TARGET,
)
from .compiled import kernel
from .lanes import full, lane_count, pointer, store
from .maps import apply_maps
from .product import dot, dot_at, shifted

AHEAD = 4  # rows by which the memory of weights is asked for before they are read


@kernel
def solve_samples(
    mode, num_outputs, steps, ends, buffers, activation_numbers, maps, numbers, places, one, scratch, samples
):
    """All rows of samples first .. last, one after the other; modes SOLVE and EVALUATE.

    The arguments are those of `solve_tiles`. Rows of weights that lie in the order of their source are read fastest.
    """
    memory = pointer((scratch.ctypes.data + 63) // 64 * 64, one)
    lanes = lane_count(memory)
    outputs = ends.shape[0] - 1
    # Buffers start on a whole vector, with one to spare: activations work on whole vectors.
    inputs, spare = memory, shifted(memory, buffers[outputs + 1])
    given = pointer(places[GIVEN, PLACE_ROWS], places[0, 0])
    y = pointer(places[GIVEN, PLACE_DATA], one)
    found = pointer(places[FOUND, PLACE_ROWS], places[0, 0])
    x = pointer(places[FOUND, PLACE_DATA], one)
    for sample in range(samples[0], samples[1]):
        log_det = full(memory, 0.0)
        if mode == EVALUATE:
            for k in range(ends.shape[1] - 1):
                inputs[k] = y[given[k] + sample * places[GIVEN, PLACE_STRIDE]]
        for k in range(ends.shape[1] - 1):
            for index in range(steps.shape[0]):
                kind, target, source = steps[index, STEP_KIND], steps[index, STEP_TARGET], steps[index, STEP_SOURCE]
                start, stop = ends[target, k], ends[target, k + 1]
                to, of = shifted(memory, buffers[target] + start), shifted(memory, buffers[source])
                if target == outputs:
                    to = shifted(memory, buffers[target])
                data, rows = pointer(steps[index, STEP_DATA], one), pointer(steps[index, STEP_ROWS], steps[0, 0])
                stride = steps[index, STEP_STRIDE]
                if kind == BIAS:
                    if steps[index, STEP_DATA] != 0:
                        for r in range(start, stop):
                            to[r - start] = data[rows[r]]
                    else:
                        for r in range(start, stop):
                            to[r - start] = 0.0 * one
                elif kind == SHIFT:
                    for r in range(start, stop):
                        to[r - start] += data[rows[r] + sample * stride]
                elif kind == LINEAR:
                    available = ends[source, k] if source == 0 else ends[source, k + 1]
                    size = ends[target, ends.shape[1] - 1]
                    if steps[index, STEP_CODE] == SCATTERED:
                        columns = pointer(steps[index, STEP_COLUMNS], steps[0, 0])
                        for r in range(start, stop):
                            to[r - start] += dot_at(shifted(data, rows[r]), columns, of, available, 0.0 * one)
                    else:
                        for r in range(start, stop):
                            to[r - start] += dot(
                                shifted(data, rows[r]), of, available, shifted(data, rows[min(r + AHEAD, size - 1)])
                            )
                elif kind == ACTIVATE:
                    if steps[index, STEP_ROWS] != 0:
                        for r in range(start, stop):
                            to[r - start] = of[rows[r]]
                    from_ = to if steps[index, STEP_ROWS] != 0 else shifted(of, start)
                    activate(steps[index, STEP_CODE], activation_numbers[index], to, from_, stop - start)
                elif kind == ADD:
                    for r in range(start, stop):
                        to[r - start] += of[rows[r] if steps[index, STEP_ROWS] != 0 else r]
                elif kind == GATE:
                    for r in range(start, stop):
                        to[r - start] *= data[rows[r] + sample * stride]
            row = shifted(memory, buffers[outputs])
            # One number per vector, as the maps read them.
            for p in range(num_outputs):
                store(spare, p * lanes, full(spare, row[p]))
            number = y[given[k] + sample * places[GIVEN, PLACE_STRIDE]]
            value, slope = apply_maps(maps, numbers, mode != EVALUATE, full(spare, number), spare, lanes)
            log_det = log_det + slope
            store(spare, 0, value)
            x[found[k] + sample * places[FOUND, PLACE_STRIDE]] = spare[0]
            if mode != EVALUATE:
                inputs[k] = spare[0]
        if places[LOG_DET, PLACE_DATA] != 0:
            store(spare, 0, log_det)
            data = pointer(places[LOG_DET, PLACE_DATA], one)
            data[sample * places[LOG_DET, PLACE_STRIDE]] = spare[0]
    scratch[0] = 0  # keeps the memory alive until here
