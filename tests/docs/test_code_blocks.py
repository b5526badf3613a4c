"""The documentation runs: the Python of each page in one namespace, its commands beside it, in an empty folder."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest
import torch
from typer.testing import CliRunner

import counterflow as cf
from counterflow import spec
from counterflow.cli.app import app
from docs.markdown import PAGES, Block, blocks, page_name

# `text` is for what is shown and not run: output, formulas, commands that install.
LANGUAGES = {"python", "bash", "text"}


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    """Without the shape checks of other tests, and on one thread: for networks this small a second costs time."""
    threads, disabled = torch.get_num_threads(), jaxtyping.config.jaxtyping_disable
    torch.set_num_threads(1)
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", disabled)
    torch.set_num_threads(threads)


def run_python(block: Block, page: Path, namespace: dict[str, object]) -> None:
    """Run a block; a traceback shows the line of the page."""
    exec(compile("\n" * (block.line - 1) + block.text, page, "exec"), namespace)


def run_commands(block: Block) -> None:
    """Run each `counterflow ...` line, in this process: that spares an import of torch per line."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
            assert done.exit_code == 0, f"{line}\n{done.output}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_code_block_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert all(hasattr(cf, name) for name in cf.__all__)  # names are loaded when asked for, and register their classes
    monkeypatch.setattr(spec, "_REGISTRY", dict(spec.registered()))  # a page's own classes end with the page
    namespace: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            run_python(block, page, namespace)
        elif block.language == "bash":
            run_commands(block)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_code_block_says_whether_it_is_run(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{page_name(page)}:{block.line}: a block of {block.language or 'nothing'}"
        if block.language == "bash":
            lines = block.text.replace("\\\n", " ").splitlines()
            assert all(not line or line.startswith(("counterflow ", "#")) for line in lines), f"line {block.line}"


def test_the_pages_show_code() -> None:
    assert sum(block.language == "python" for page in PAGES for block in blocks(page)) > 20
