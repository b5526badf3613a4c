"""Every mistake in columns, contexts and configurations gets its sentence, word for word, and nothing is written."""

import re

import numpy as np
import pytest

from cli.refused import Refused
from cli.refused_fits import DECLARATION_MISTAKES, ROLE_MISTAKES
from cli.refused_later import CHANGED_COLUMNS, CONFIG_MISTAKES, CONTEXT_MISTAKES
from cli.running import FAST, Runner

TABLES = {
    "role": ROLE_MISTAKES,
    "declaration": DECLARATION_MISTAKES,
    "changed column": CHANGED_COLUMNS,
    "context": CONTEXT_MISTAKES,
    "configuration": CONFIG_MISTAKES,
}
CASES = {f"{kind}: {name}": mistake for kind, mistakes in TABLES.items() for name, mistake in mistakes.items()}


@pytest.mark.parametrize("mistake", CASES.values(), ids=CASES)
def test_a_mistake_gets_its_sentence_and_writes_nothing(mistake: Refused, run: Runner) -> None:
    mistake.prepare()
    before = run.snapshot()
    outcome = run(*mistake.arguments)
    assert outcome.sentence == f"counterflow: {mistake.sentence}"
    assert outcome.err.count("counterflow: ") == 1
    assert outcome.code == mistake.code
    assert outcome.out == ""
    assert run.snapshot() == before


def test_a_table_of_100000_columns_is_refused_with_the_memory_it_would_need(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterflow.cli.sizes.physical_bytes", lambda: 16.0 * 2**30)
    np.save("wide.npy", np.zeros((3, 100_000), np.float32))
    outcome = run("fit", "wide.npy", "-o", "new.safetensors")
    assert outcome.code == 3
    assert re.fullmatch(
        r"counterflow: wide.npy has 100,000 columns: training a recommended model of them takes about [\d,]{3,} GiB of "
        r"memory, this machine has 16.0 GiB; choose fewer with --columns, or another --model",
        outcome.sentence,
    )
    assert run("fit", "wide.npy", "--columns", "1,99999", "-o", "new.safetensors", *FAST).code == 3  # constant


def test_a_table_of_too_many_rows_is_refused_with_the_memory_it_would_need(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("counterflow.cli.sizes.physical_bytes", lambda: 2.0**27)
    np.save("long.npy", np.zeros((10**7, 1), np.bool_))
    outcome = run("fit", "long.npy", "-o", "new.safetensors", "--model", "nice")
    assert outcome.code == 3
    assert re.fullmatch(
        r"counterflow: long.npy has 10,000,000 rows: fitting to 1 column of them takes about 0.\d GiB of memory, "
        r"this machine has 0.1 GiB; choose fewer with --columns, or fit to a part of the rows",
        outcome.sentence,
    )
