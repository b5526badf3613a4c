"""The CPU kernels: the recursion over coordinates for a tile of samples, and for one sample.

Step k computes the units of degree k, then row k. In the tile kernel a block of steps takes everything from before the
block in one register-blocked product per layer; inside the block the steps go one by one. In the kernel for one
sample each unit is one dot product. Both interpret the tables of `tables`: no network is compiled into them.
"""

from .activations import activate
from .codes import (
    ACTIVATE,
    ADD,
    BIAS,
    EVALUATE,
    FOUND,
    GATE,
    GIVEN,
    KEEP,
    LINEAR,
    LOG_DET,
    PARAMS_OFFSET,
    PARAMS_SLOPE,
    PLACE_DATA,
    PLACE_ROWS,
    PLACE_STRIDE,
    SHIFT,
    SLOPE,
    SOLVE_LINEARISED,
    STEP_CODE,
    STEP_COLUMNS,
    STEP_DATA,
    STEP_KIND,
    STEP_ROWS,
    STEP_SOURCE,
    STEP_STRIDE,
    STEP_TARGET,
)
from .compiled import called, inlined, kernel
from .lanes import full, lane_count, load, pointer, store
from .maps import apply_maps
from .product import accumulate, shifted


@inlined
def _fetch(row, data, offset, stride, sample, count, width):
    """One number of each sample of the tile, from strided memory into a row; lanes without a sample repeat the last."""
    for t in range(count):
        row[t] = data[offset + (sample + t) * stride]
    for t in range(count, width):
        row[t] = row[count - 1]


@inlined
def _put(row, data, offset, stride, sample, count):
    """One number of each sample of the tile, from a row into strided memory."""
    for t in range(count):
        data[offset + (sample + t) * stride] = row[t]


@inlined
def _multiply(target, source, width):
    for t in range(0, width, lane_count(target)):
        store(target, t, load(target, t) * load(source, t))


@inlined
def _add(target, source, size):
    for t in range(0, size, lane_count(target)):
        store(target, t, load(target, t) + load(source, t))


@called
def _start(steps, index, one, target, first, last, spare, sample, count, width):
    """Units first .. last of the target from their bias, or plus what the context adds to them."""
    data = pointer(steps[index, STEP_DATA], one)
    rows = pointer(steps[index, STEP_ROWS], steps[0, 0])
    for r in range(first, last):
        row = shifted(target, r * width)
        if steps[index, STEP_KIND] == BIAS:
            bias = full(target, data[rows[r]] if steps[index, STEP_DATA] != 0 else 0.0 * one)
            for t in range(0, width, lane_count(target)):
                store(row, t, bias)
        else:
            _fetch(spare, data, rows[r], steps[index, STEP_STRIDE], sample, count, width)
            _add(row, spare, width)


@called
def _row(k, mode, num_inputs, maps, numbers, places, one, inputs, outputs, spare, sample, count, width):
    """Row k: from its parameters and the given number of each sample to the one sought, which enters the inputs."""
    value, slope, log_det = spare, shifted(spare, width), shifted(spare, 2 * width)
    given = pointer(places[GIVEN, PLACE_ROWS], places[0, 0])
    _fetch(value, pointer(places[GIVEN, PLACE_DATA], one), given[k], places[GIVEN, PLACE_STRIDE], sample, count, width)
    lanes = lane_count(spare)
    if mode == SOLVE_LINEARISED:
        rows = pointer(places[SLOPE, PLACE_ROWS], places[0, 0])
        _fetch(
            slope, pointer(places[SLOPE, PLACE_DATA], one), rows[k], places[SLOPE, PLACE_STRIDE], sample, count, width
        )
        for t in range(0, width, lanes):
            store(value, t, (load(value, t) + load(outputs, t)) * load(slope, t))
        for p in range(num_inputs):
            row = shifted(inputs, (k * num_inputs + p) * width)
            for which in range(PARAMS_SLOPE, PARAMS_OFFSET + 1):
                rows = pointer(places[which, PLACE_ROWS], places[0, 0])
                data = pointer(places[which, PLACE_DATA], one)
                _fetch(slope, data, rows[k * num_inputs + p], places[which, PLACE_STRIDE], sample, count, width)
                for t in range(0, width, lanes):
                    if which == PARAMS_SLOPE:
                        store(row, t, 0.0 - load(value, t) * load(slope, t))
                    else:
                        store(row, t, load(row, t) + load(slope, t))
    else:
        for t in range(0, width, lanes):
            params = shifted(outputs, t)
            found, log_slope = apply_maps(maps, numbers, mode != EVALUATE, load(value, t), params, width)
            if mode != EVALUATE:
                store(inputs, k * width + t, found)
            store(value, t, found)
            store(log_det, t, load(log_det, t) + log_slope)
    rows = pointer(places[FOUND, PLACE_ROWS], places[0, 0])
    _put(value, pointer(places[FOUND, PLACE_DATA], one), rows[k], places[FOUND, PLACE_STRIDE], sample, count)


@kernel
def solve_tiles(
    mode,
    per_step,
    steps,
    ends,
    buffers,
    blocks,
    activation_numbers,
    maps,
    numbers,
    places,
    one,
    scratch,
    widest,
    samples,
):
    """All rows of samples first .. last, by tiles of `widest` samples.

    Args:
        mode: SOLVE, EVALUATE (rows known, no recursion) or SOLVE_LINEARISED (the reversed, linearised network).
        per_step: Inputs that each step makes known, and how many steps do: the last one may compute units alone.
        steps: One row for each step of the program; for this and the others see `tables`.
        ends: Of each buffer and step.
        buffers: Where they start.
        blocks: Where they begin.
        activation_numbers: Those that rows of `steps` refer to.
        maps: One row for each part of the univariate map.
        numbers: Those that rows of `maps` refer to.
        places: Where the data lies.
        one: 1 in the dtype of the data.
        scratch: At least the last of `buffers` and four more rows, plus one vector, in bytes.
        widest: Samples of a tile: 1 to 4 vectors; the last tile has as many as it needs.
        samples: First and last.
    """
    num_inputs, num_rows = per_step
    memory = pointer((scratch.ctypes.data + 63) // 64 * 64, one)
    last_buffer = ends.shape[0] - 1
    lanes = lane_count(memory)
    for sample in range(samples[0], samples[1], widest):
        count = min(widest, samples[1] - sample)
        width = (count + lanes - 1) // lanes * lanes
        spare = shifted(memory, buffers[last_buffer + 1] * width)
        inputs, window = shifted(memory, buffers[0] * width), shifted(memory, buffers[last_buffer] * width)
        if mode == EVALUATE:
            rows, data = pointer(places[GIVEN, PLACE_ROWS], places[0, 0]), pointer(places[GIVEN, PLACE_DATA], one)
            for k in range(ends.shape[1] - 1):
                row = shifted(inputs, k * width)
                _fetch(row, data, rows[k], places[GIVEN, PLACE_STRIDE], sample, count, width)
        for t in range(width):
            spare[2 * width + t] = 0.0 * one
        for block in range(blocks.shape[0] - 1):
            first, last = blocks[block], blocks[block + 1]
            # The window holds the outputs of this block alone: shift it so that output r is row r.
            outputs = shifted(window, -ends[last_buffer, first] * width)
            for index in range(steps.shape[0]):
                kind, target, source = steps[index, STEP_KIND], steps[index, STEP_TARGET], steps[index, STEP_SOURCE]
                to = outputs if target == last_buffer else shifted(memory, buffers[target] * width)
                of = shifted(memory, buffers[source] * width)
                start, stop = ends[target, first], ends[target, last]
                if kind in (BIAS, SHIFT):
                    _start(steps, index, one, to, start, stop, spare, sample, count, width)
                elif kind == LINEAR:
                    rows, columns = (
                        pointer(steps[index, STEP_ROWS], steps[0, 0]),
                        pointer(steps[index, STEP_COLUMNS], steps[0, 0]),
                    )
                    weight = pointer(steps[index, STEP_DATA], one)
                    accumulate(to, start, stop, of, weight, rows, columns, 0, ends[source, first], width)
            for k in range(first, last):
                for index in range(steps.shape[0]):
                    kind, target, source = steps[index, STEP_KIND], steps[index, STEP_TARGET], steps[index, STEP_SOURCE]
                    to = outputs if target == last_buffer else shifted(memory, buffers[target] * width)
                    of = shifted(memory, buffers[source] * width)
                    start, stop = ends[target, k], ends[target, k + 1]
                    if kind == LINEAR:
                        rows, columns = (
                            pointer(steps[index, STEP_ROWS], steps[0, 0]),
                            pointer(steps[index, STEP_COLUMNS], steps[0, 0]),
                        )
                        weight = pointer(steps[index, STEP_DATA], one)
                        available = ends[source, k] if source == 0 else ends[source, k + 1]
                        accumulate(to, start, stop, of, weight, rows, columns, ends[source, first], available, width)
                    elif kind == ACTIVATE:
                        code, number = steps[index, STEP_CODE], activation_numbers[index]
                        if steps[index, STEP_ROWS] == 0:
                            size = (stop - start) * width
                            activate(code, number, shifted(to, start * width), shifted(of, start * width), size)
                        else:
                            rows = pointer(steps[index, STEP_ROWS], steps[0, 0])
                            for r in range(start, stop):
                                activate(code, number, shifted(to, r * width), shifted(of, rows[r] * width), width)
                    elif kind == ADD:
                        if steps[index, STEP_ROWS] == 0:
                            _add(shifted(to, start * width), shifted(of, start * width), (stop - start) * width)
                        else:
                            rows = pointer(steps[index, STEP_ROWS], steps[0, 0])
                            for r in range(start, stop):
                                _add(shifted(to, r * width), shifted(of, rows[r] * width), width)
                    elif kind == GATE:
                        data, rows = (
                            pointer(steps[index, STEP_DATA], one),
                            pointer(steps[index, STEP_ROWS], steps[0, 0]),
                        )
                        for r in range(start, stop):
                            _fetch(spare, data, rows[r], steps[index, STEP_STRIDE], sample, count, width)
                            _multiply(shifted(to, r * width), spare, width)
                    elif kind == KEEP:
                        data, rows = (
                            pointer(steps[index, STEP_DATA], one),
                            pointer(steps[index, STEP_ROWS], steps[0, 0]),
                        )
                        for r in range(start, stop):
                            _put(shifted(to, r * width), data, rows[r], steps[index, STEP_STRIDE], sample, count)
                if k == num_rows:
                    break
                row = shifted(outputs, ends[last_buffer, k] * width)
                _row(k, mode, num_inputs, maps, numbers, places, one, inputs, row, spare, sample, count, width)
        if places[LOG_DET, PLACE_DATA] != 0:
            data = pointer(places[LOG_DET, PLACE_DATA], one)
            _put(shifted(spare, 2 * width), data, 0, places[LOG_DET, PLACE_STRIDE], sample, count)
    scratch[0] = 0  # keeps the memory alive until here
