"""What somebody who watches sees while a command takes long: a bar for everything, and none for what is short."""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import counterflow as cf
from cli.running import FAST, Runner, table, write_csv
from counterflow.cli import console as module
from counterflow.cli.console import Console
from counterflow.cli.watched_source import WatchedSource
from counterflow.tables import open_table, read_table
from counterflow.tables.schema import plain_schema
from counterflow.tabular import Cells, Recipe, Watch, finish, prepare


class Terminal(io.StringIO):
    """Standard error that somebody watches."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """To be called by the test itself: pytest puts its own standard error in place after the fixtures."""

    def watch() -> Terminal:
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        monkeypatch.setenv("TERM", "xterm")
        return screen

    return watch


def slowly(count: int) -> list[tuple[int, int]]:
    return [(10, i) for i in range(count)]


def test_what_takes_long_shows_a_bar_with_its_rows(
    watched: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = watched()
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.0)
    seen = []
    for block in Console().watched(slowly(3), "scoring", 30):
        time.sleep(0.15)
        seen.append(block)
    assert seen == [0, 1, 2]
    assert "scoring" in terminal.getvalue()
    assert "of 30" in terminal.getvalue()


def test_a_first_block_that_takes_long_shows_a_bar_before_it_is_done(
    watched: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = watched()
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.0)
    with Console().waiting("looking at the columns"):
        time.sleep(0.3)
        assert "looking at the columns" in terminal.getvalue()


def test_what_is_short_shows_none(watched: Callable[[], Terminal]) -> None:
    terminal = watched()
    list(Console().watched(slowly(3), "scoring", 30))
    with Console().waiting("looking at the columns"):
        pass
    assert "scoring" not in terminal.getvalue()
    assert "looking" not in terminal.getvalue()


@pytest.mark.parametrize("console", [Console(quiet=True), Console()], ids=["quiet", "nobody watches"])
def test_nobody_is_bothered(console: Console, watched: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = watched()
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.0)
    if not console.quiet:
        monkeypatch.setattr(Terminal, "isatty", lambda self: False)
    assert list(console.watched(slowly(3), "scoring", 30)) == [0, 1, 2]
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        (
            ["fit", "good.csv", "-o", "m.safetensors", *FAST],
            [
                "reading good.csv",
                "looking at the columns",
                "preparing",
                "scoring the held-out rows",
                "fitting a Gaussian",
            ],
        ),
        (["score", "model.safetensors", "good.csv", "-o", "s.csv"], ["counting the rows of good.csv", "scoring"]),
        (["sample", "model.safetensors", "-n", "5", "-o", "x.csv"], ["sampling"]),
        (
            ["sample", "given.safetensors", "-n", "5", "--context", "events.parquet", "-o", "x.csv"],
            ["reading", "sampling"],
        ),
        (
            ["report", "model.safetensors", "good.csv", "-o", "r.html"],
            ["reading good.csv", "looking for rows", "measuring", "writing"],
        ),
    ],
    ids=lambda value: value[0],
)
def test_every_long_step_of_a_command_is_watched(
    arguments: list[str], steps: list[str], run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    bar = Console._bar

    def noted(self: Console, what: str, total: int | None) -> object:
        titles.append(what)
        return bar(self, what, total)

    monkeypatch.setattr(Console, "_bar", noted)
    assert run(*arguments).code == 0
    assert [step for step in steps if not any(title.startswith(step) for title in titles)] == []


def test_a_watched_source_is_the_source(tmp_path: Path) -> None:
    write_csv(tmp_path / "x.csv", table(200))
    source = open_table(tmp_path / "x.csv")
    same = WatchedSource(source, Console(), "reading")
    assert np.array_equal(read_table(same).values, table(200))
    assert same.place(7) == source.place(7) == "line 9"
    assert same.column(1) == "column 'b'"


def test_held_out_rows_that_take_long_to_score_show_how_many_are_done(
    watched: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at a time, each pair slowly; from the first on somebody who watches sees the bar."""
    terminal = watched()
    monkeypatch.setattr(module, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr("counterflow.tabular.judging.chunk_rows", lambda features: 2)
    log_prob = cf.Flow.log_prob

    def slow(self: cf.Flow, *given: object) -> object:
        time.sleep(0.1)
        return log_prob(self, *given)  # type: ignore[arg-type]

    watch = Watch(watched=Console().watched)
    prepared = prepare(Cells(table(60)), plain_schema(3), Recipe(steps=2, test=0.1), "x")
    monkeypatch.setattr(cf.Flow, "log_prob", slow)
    assert finish(prepared, watch).score is not None
    assert "scoring the held-out rows" in terminal.getvalue()
    assert "of 6" in terminal.getvalue()
