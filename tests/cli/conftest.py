"""A folder with a table and a model of it, and a command line that runs there."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from cli.running import FAST, Runner, table, write_csv


@pytest.fixture(scope="session")
def fitted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """good.csv, good.npy and model.safetensors (fitted to the first), made once."""
    from counterflow.cli.app import app

    folder = tmp_path_factory.mktemp("fitted")
    write_csv(folder / "good.csv", table())
    np.save(folder / "good.npy", table())
    with pytest.raises(SystemExit) as end:
        app(["fit", str(folder / "good.csv"), "-o", str(folder / "model.safetensors"), *FAST, "--quiet"])
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
