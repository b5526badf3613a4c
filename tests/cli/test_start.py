"""The first second of a command: help without torch, and a Ctrl-C in the middle of loading it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import counterflow as cf
from cli.running import Runner

HEAVY = {"torch", "numpy", "sklearn", "pyarrow", "matplotlib", "scipy"}
PROGRAM = """
import json, sys
sys.argv[:] = {words!r}
from counterflow.cli.app import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["--help"], {}, "Densities of tables"),
        (["fit", "--help"], {}, "--context"),
        (["--version"], {}, cf.__version__),
        ([], {"COMP_WORDS": "counterflow fit --con", "COMP_CWORD": "2"}, "--context"),
        ([], {"COMP_WORDS": "counterflow fit x.csv --model n", "COMP_CWORD": "4"}, "nsf-coupling"),
    ],
    ids=["help", "help of a command", "version", "completion of options", "completion of values"],
)
def test_help_and_completion_do_without_torch(words: list[str], environment: dict[str, str], said: str) -> None:
    """It takes a second, and a shell that completes waits for it."""
    if environment:
        environment = {"_COUNTERFLOW_COMPLETE": "complete_bash", **environment}
    program = PROGRAM.format(words=["counterflow", *words])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    assert said in done.stdout
    loaded = {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("ending", ["", "raise ImportError('half of it')"], ids=["and goes on", "and fails over it"])
def test_ctrl_c_while_torch_is_loaded_ends_in_a_sentence(ending: str, tmp_path: Path) -> None:
    """Within it the process would end in C++; a torch that presses Ctrl-C itself shows that it is loaded whole."""
    (tmp_path / "torch.py").write_text(
        "import os, pathlib, signal\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        f"pathlib.Path({str(tmp_path / 'whole')!r}).touch()\n"
        f"{ending}\n"
    )
    (tmp_path / "x.csv").write_text("a\n1\n2\n")
    done = subprocess.run(
        [sys.executable, "-m", "counterflow", "fit", "x.csv", "-o", "m.safetensors"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert (tmp_path / "whole").exists()
    assert done.returncode == 130
    assert done.stderr == "counterflow: interrupted; an output that was not finished is not there\n"


def test_a_file_is_read_by_a_process_that_has_asked_for_nothing_else(run: Runner) -> None:
    """Names are loaded when they are asked for; the classes that a file names must be there all the same."""
    program = "from counterflow.checkpoint import load; print(type(load('model.safetensors')).__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Flow\n"


def test_every_public_name_is_found_and_listed() -> None:
    assert set(cf.__all__) <= set(dir(cf))
    assert all(getattr(cf, name) is not None for name in cf.__all__)
    with pytest.raises(AttributeError, match="module 'counterflow' has no attribute 'gravity'"):
        _ = cf.gravity
