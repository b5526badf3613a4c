"""Reading one file by one library in a process of its own: python benchmarks/front_reading.py READER FILE SMALL_FILE.

The small file of the same format is read first, so that what is loaded on the way is not counted. Counterflow gives
the rows in blocks of doubles; the others read the whole file as they do by default, on one thread. Linux only.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 2**20
SECONDS = 2.0  # of processor time, after which reading is not repeated
MOST = 5


def _counterflow(path: Path) -> int:
    from counterflow.tables import open_table

    return sum(len(block) for block in open_table(path).blocks())


def _pandas(path: Path) -> int:
    import pandas

    readers: dict[str, Callable[..., Any]] = {
        ".csv": pandas.read_csv,
        ".parquet": pandas.read_parquet,
        ".feather": pandas.read_feather,
    }
    return len(readers[path.suffix](path))


def _pyarrow(path: Path) -> int:
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet

    readers: dict[str, Callable[..., Any]] = {
        ".csv": pyarrow.csv.read_csv,
        ".parquet": pyarrow.parquet.read_table,
        ".feather": pyarrow.feather.read_table,
    }
    return int(readers[path.suffix](path).num_rows)


def _numpy(path: Path) -> int:
    import numpy as np

    return len(np.load(path))


def _h5py(path: Path) -> int:
    import h5py

    with h5py.File(path) as file:
        columns = {name: file[name][:] for name in file}
    return len(next(iter(columns.values())))


def _uproot(path: Path) -> int:
    import uproot

    with uproot.open(path) as file:
        columns = file["tree"].arrays(library="np")
    return len(next(iter(columns.values())))


READERS: dict[str, Callable[[Path], int]] = {
    "counterflow": _counterflow,
    "pandas": _pandas,
    "pyarrow": _pyarrow,
    "numpy": _numpy,
    "h5py": _h5py,
    "uproot": _uproot,
}


def measured(reader: str, path: Path, small: Path) -> dict[str, Any]:
    """Rows per second of processor time, the best of a few readings, and the peak of the first in MiB."""
    read = READERS[reader]
    read(small)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    start = _resident("VmRSS")
    seconds, walls, peak = list[float](), list[float](), 0.0
    while len(seconds) < MOST and sum(seconds) < SECONDS:
        begun, wall = time.process_time(), time.perf_counter()
        rows = read(path)
        seconds.append(time.process_time() - begun)
        walls.append(time.perf_counter() - wall)
        peak = peak or _resident("VmHWM") - start
    return {"seconds": min(seconds), "wall": min(walls), "rows_per_second": rows / min(seconds), "peak_mib": peak}


def _resident(name: str) -> float:
    """MiB, from the system's own account of this process."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"this system does not tell {name}")
    return int(found[1]) * 1024 / MIB


def main() -> None:
    try:
        import pyarrow
    except ImportError:
        pass
    else:
        pyarrow.set_cpu_count(1)
        pyarrow.set_io_thread_count(1)
    print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))


if __name__ == "__main__":
    main()
