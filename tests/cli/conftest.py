"""A folder with tables and models of them, and a command line that runs there."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.running import FAST, ROLES, Runner, table, write_csv, write_events


@pytest.fixture(scope="session")
def fitted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: good.csv, good.npy and model.safetensors of the first; events.parquet and given.safetensors of it."""
    from counterflow.cli.app import app

    folder = tmp_path_factory.mktemp("fitted")
    write_csv(folder / "good.csv", table())
    np.save(folder / "good.npy", table())
    write_events(folder / "events.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # so that the model quotes a command without the folder
        for data, out, roles in (("good.csv", "model", []), ("events.parquet", "given", ROLES)):
            with pytest.raises(SystemExit) as end:
                app(["fit", data, "-o", f"{out}.safetensors", *roles, *FAST, "--quiet"])
            assert not end.value.code
    return folder


@pytest.fixture
def run(
    fitted_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runner:
    """A command line in a fresh copy of that folder."""
    folder = tmp_path / "work"
    shutil.copytree(fitted_folder, folder)
    monkeypatch.chdir(folder)
    return Runner(folder, capsys)


@pytest.fixture
def small_students(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws of a teacher, and few that are timed."""
    from counterflow.cli import student_training

    monkeypatch.setattr(student_training, "POOL", 300)
    monkeypatch.setattr(student_training, "HELD_OUT", 64)
    monkeypatch.setattr("counterflow.report.certifying.TIMED_ROWS", 20)
