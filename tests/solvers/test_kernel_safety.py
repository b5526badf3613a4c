"""Kernels under forks, threads, unwritable caches and wrong input: right, or refused; never a crash."""

import concurrent.futures
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from numba.core import caching, config
from torch import Tensor

import counterflow
from counterflow.solvers import Blocked
from counterflow.solvers.kernels import compiled, cpu, threads
from solvers.kernel_cases import DIRECTIONS, MAPS, NETS, U, blocked, close, evaluated, solved

SECONDS = 300  # for a process that may have to compile
SOURCE = Path(counterflow.__file__).parent


@pytest.fixture
def torch_threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def in_process(script: str, *arguments: str, path: Path | None = None, **environment: str) -> str:
    """What a script prints in a process of its own."""
    paths = [str(SOURCE.parent if path is None else path), str(Path(__file__).parent.parent)]
    result = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# A solve of many tiles, compared in NumPy: after a fork torch's own threads are not to be relied on.
MANY = """
import os, sys, threading
import torch
from solvers.kernel_cases import MAPS, NETS, blocked, evaluated
from counterflow.solvers.kernels import threads
net, t = NETS["several blocks"].make(MAPS["composed"].num_params, torch.float32), MAPS["composed"]
x, _ = NETS["several blocks"].inputs(3000, dtype=torch.float32)
def results():
    return [part.numpy().copy() for run in (blocked, evaluated) for part in run(net, t, x)]
def same(found, expected):
    return all((one == other).all() for one, other in zip(found, expected))
"""
FORK = (
    MANY
    + """
count, busy = int(sys.argv[1]), sys.argv[2] == "busy"
torch.set_num_threads(1)
expected = results()
torch.set_num_threads(count)
assert same(results(), expected)
stop = threading.Event()
def work():
    while not stop.is_set():
        results()
worker = threading.Thread(target=work)
if busy:
    worker.start()
for _ in range(3):
    child = os.fork()
    if child == 0:
        code = 0 if same(results(), expected) and same(results(), expected) else 1
        if count > 1 and threads._POOL._own[0] != os.getpid():
            code = 2
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
assert same(results(), expected)
if busy:
    stop.set()
    worker.join()
print("done")
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(("count", "state"), [("1", "idle"), ("2", "idle"), ("2", "busy")])
def test_a_forked_child_solves_as_its_parent_did(count: str, state: str) -> None:
    """The parent has used one thread, or several, or is using them in another thread while it forks."""
    assert in_process(FORK, count, state) == "done\n"


def many() -> tuple[Any, Any, Tensor, Tensor | None]:
    kind, t = NETS["order, random degrees, context"], MAPS["composed"]
    return kind.make(t.num_params, torch.float32), t, *kind.inputs(3000, dtype=torch.float32)


def test_two_threads_give_the_bits_of_one(torch_threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    monkeypatch.setattr(cpu, "in_threads", lambda part, count: (used.append(count), threads.in_threads(part, count)))
    given = many()
    found = []
    for count in (1, 2, 3):
        torch_threads(count)
        u, log_det, *_ = Blocked().solve(*given)
        found.append([u.detach(), log_det.detach(), *evaluated(*given)])
    assert max(used) >= 2
    assert all(torch.equal(*pair) for later in found[1:] for pair in zip(found[0], later, strict=True))


@pytest.mark.parametrize("count", [1, 2])
def test_python_threads_solve_at_the_same_time(count: int, torch_threads: Any) -> None:
    cases = []
    names = ("context", "holes", "several blocks", "residual, order, context")
    for name in names:
        t = MAPS["quadratic"]
        cases.append((NETS[name].make(t.num_params), t, *NETS[name].inputs(700)))
    expected = [[run(*case) for run, _ in DIRECTIONS.values()] for case in cases]
    # Not solved before, so that all that is made once for a network is made by several threads at once.
    fresh = [(NETS[name].make(case[1].num_params), *case[1:]) for name, case in zip(names, cases, strict=True)]
    torch_threads(count)

    def work(which: int) -> list[Any]:
        return [run(*fresh[which % 4]) for run, _ in DIRECTIONS.values()]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for which, found in enumerate(pool.map(work, range(24))):
            for one, other in zip(found, expected[which % 4], strict=True):
                assert torch.equal(one[0], other[0])
                assert torch.equal(one[1], other[1])


def test_an_error_in_one_thread_is_raised_when_all_are_done() -> None:
    finished: list[int] = []

    def part(thread: int) -> None:
        finished.append(thread)
        if thread == 1:
            raise ValueError("of thread 1")

    with pytest.raises(ValueError, match="of thread 1"):
        threads.in_threads(part, 3)
    assert sorted(finished) == [0, 1, 2]


def triple(x: float) -> float:
    return 3 * x


def test_a_kernel_is_compiled_once_and_again_when_any_source_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))

    def hits(digest: str) -> int:
        monkeypatch.setattr(compiled, "_digest", lambda: digest)
        door = compiled.kernel(triple)
        assert door(2.0) == 6.0
        return sum(door.stats.cache_hits.values())

    assert [hits("one"), hits("one"), hits("other"), hits("other"), hits("one")] == [0, 1, 0, 1, 0]


def test_the_digest_sees_every_source_of_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels"
    shutil.copytree(Path(compiled.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiled, "__file__", str(folder / "compiled.py"))
    seen = {compiled._digest()}
    # Triton has a cache of its own.
    sources = sorted(path for path in folder.glob("*.py") if not path.name.startswith("gpu"))
    assert {"engine.py", "engine_one.py", "lanes.py", "maps.py", "elementary.py", "product.py"} <= {
        s.name for s in sources
    }
    for source in sources:
        source.write_text(source.read_text() + "\n# changed\n")
        seen.add(compiled._digest())
    assert len(seen) == len(sources) + 1


def no_locator(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])


def cache_folder_is_a_file(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "file").write_text("")
    monkeypatch.setattr(config, "CACHE_DIR", str(folder / "file"))


def full_disk(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def save(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    monkeypatch.setattr(caching.IndexDataCacheFile, "save", save)


def spoilt_files(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A process was killed, or a disk failed."""
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    compiled.kernel(triple)(2.0)
    for file in folder.rglob("*.nb?"):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


TROUBLES = {f.__name__: f for f in (no_locator, cache_folder_is_a_file, full_disk, spoilt_files)}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_cache_that_cannot_be_used_costs_compilation_and_nothing_else(
    trouble: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble(monkeypatch, tmp_path)
    assert compiled.kernel(triple)(2.0) == 6.0


SOLVE = """
import torch
from solvers.kernel_cases import MAPS, NETS, blocked, close, solved
from counterflow.solvers.kernels import engine, engine_one
for name in ("sorted", "context"):
    net, t = NETS[name].make(2), MAPS["bounded"]
    for samples in (2, 40):
        given = NETS[name].inputs(samples)
        assert close(blocked(net, t, *given), solved(net, t, *given))
doors = engine.solve_tiles, engine_one.solve_samples
print(sum(sum(door.stats.cache_hits.values()) for door in doors), sum(len(door.overloads) for door in doors))
"""


def test_a_second_process_compiles_nothing() -> None:
    kind, t = NETS["context"], U.Affine()
    for samples in (2, 40):  # this process has compiled the kernels, or loaded them
        blocked(kind.make(2), t, *kind.inputs(samples))
    hits, compiled_or_loaded = in_process(SOLVE).split()
    assert (hits, compiled_or_loaded) == ("2", "2")


@pytest.mark.slow
def test_the_kernels_work_where_nothing_can_be_cached(tmp_path: Path) -> None:
    """No folder of its own, no home, and a cache folder that is a file."""
    shutil.copytree(SOURCE, tmp_path / "counterflow", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "file").write_text("")
    refuse = "from numba.core import caching\ncaching.CacheImpl._locator_classes = []\n"
    nowhere = {
        "NUMBA_CACHE_DIR": str(tmp_path / "file"),
        "HOME": str(tmp_path / "none"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    assert in_process(refuse + SOLVE, path=tmp_path, **nowhere) == "0 2\n"
    assert not list(tmp_path.rglob("*.nbi"))


# Each in a child, which a kernel that reads what is not there may take with it.
WRONG = """
import os
import torch
from counterflow.solvers import Blocked, evaluate
from solvers.kernel_cases import NETS, U
x = torch.zeros(40, 7).double()
cases = {
    "too many coordinates": (None, U.Affine(), torch.zeros(40, 9).double()),
    "too few coordinates": (None, U.Affine(), torch.zeros(40, 5).double()),
    "more parameters than the network has": (None, U.RationalQuadratic(), x),
    "fewer parameters than the network has": (None, U.Additive(), x),
    "a small weight": (torch.zeros(3, 4), U.Affine(), x),
    "a large weight": (torch.zeros(230, 190), U.Affine(), x),
    "a transposed weight": (torch.zeros(19, 23), U.Affine(), x),
    "a weight without memory": (torch.zeros(23, 19, device="meta"), U.Affine(), x),
}
for name, (weight, t, x) in cases.items():
    for run in (Blocked().solve, evaluate):
        for samples in (2, 40):
            if os.fork() == 0:
                net = NETS["sorted"].make(2)
                if weight is not None:
                    net.layers[0].weight = torch.nn.Parameter(weight.double())
                try:
                    with torch.no_grad():
                        run(net, t, x[:samples])
                except (ValueError, TypeError, RuntimeError, NotImplementedError):
                    os._exit(0)
                os._exit(1)
            if os.wait()[1]:
                print(name, run.__name__, samples)
"""


def test_what_does_not_fit_is_refused_before_a_kernel_reads_it() -> None:
    assert in_process(WRONG).splitlines() == []


def test_results_are_the_callers_own() -> None:
    """Results are made by the caller and outlive the call: nothing of a kernel refers to them."""
    net, t, x, context = many()
    u, log_det = blocked(net, t, x, context)
    before = u.clone(), log_det.clone()
    for _ in range(5):
        blocked(net, t, x + 1, context)
    assert torch.equal(u, before[0])
    assert torch.equal(log_det, before[1])
    assert close(blocked(net, t, x[:5], context[:5]), solved(net, t, x[:5], context[:5]), 1e-4)
