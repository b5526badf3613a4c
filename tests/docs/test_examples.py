"""The examples run as a user runs them, and stay as short as an example should be."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_to_the_end(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(example)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_ends_in_an_assertion(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) < 80
    assert ast.get_docstring(tree)
    main = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert isinstance(main.body[-1], ast.Assert)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3
