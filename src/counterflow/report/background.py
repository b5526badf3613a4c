"""The sections of a report about where the model comes from: training, costs, the model, the data, the command."""

from collections.abc import Sequence

from .curves import training_curves
from .document import Block, Command, Facts, Figure, Figures, NumberTable, Section, Steps, Words
from .numbers import counted, duration, listed, span
from .results import ColumnFacts, DataFacts, ModelFacts, Timings, Training

SHOWN_COLUMNS = 200


def training(t: Training) -> Section:
    """The curve of this model, and of others."""
    caption = "Log-likelihood. Look for validation rows that fall while training rows rise: overfitting."
    names = listed(curve.name for curve in t.curves)
    figure = Figure(training_curves(t.curves), caption, f"Training curve of {names}")
    return Section("training", "Training", [*([Words(t.ended)] if t.ended else []), Figures([figure])])


def costs(t: Timings) -> Section:
    """Both directions, measured."""
    rows = [
        (
            timing.direction,
            timing.work,
            counted(timing.rows, "row"),
            duration(timing.seconds),
            f"{_two_digits(timing.rows / timing.seconds)}" if timing.seconds > 0 else "",
        )
        for timing in t.timings
    ]
    header = ["direction", "network evaluations", "measured on", "took", "rows per second"]
    table = NumberTable("What each direction costs", header, rows, [2, 3, 4])
    words = Words(f"Measured on {t.machine}.", soft=True)
    return Section("costs", "What each direction costs", [table, words], "Costs")


def model(facts: ModelFacts) -> Section:
    """Layers, sentences, facts."""
    blocks: list[Block] = []
    if facts.layers:
        blocks += [Words("From noise to data:"), Steps(facts.layers)]
    blocks += [Words(sentence) for sentence in facts.sentences]
    if facts.facts:
        blocks.append(Facts(facts.facts))
    return Section("model", "The model", blocks, "Model")


def data(facts: DataFacts) -> Section:
    """Facts, and a line per column."""
    blocks: list[Block] = [Facts(facts.facts)] if facts.facts else []
    if facts.columns:
        blocks.append(_columns(facts.columns[:SHOWN_COLUMNS]))
    left = len(facts.columns) - SHOWN_COLUMNS
    if left > 0:
        blocks.append(Words(f"{counted(left, 'column')} more {'are' if left > 1 else 'is'} not listed.", soft=True))
    return Section("data", "The data", blocks, "Data")


def again(command: str) -> Section:
    """What to type."""
    who = "These commands give" if "\n" in command.strip() else "This command gives"
    words = Words(f"{who} the same result on the same versions, machine and number of threads:")
    return Section("again", "Reproduce it", [words, Command(command)], "Reproduce")


def _columns(columns: Sequence[ColumnFacts]) -> NumberTable:
    units = any(c.unit for c in columns)
    missing = any(c.missing for c in columns)
    roles = len({c.role for c in columns}) > 1
    header = [
        "column",
        "type",
        *["unit"] * units,
        "support",
        *["missing"] * missing,
        "smallest",
        "largest",
        *["role"] * roles,
    ]
    rows = [
        [
            c.name,
            c.kind,
            *[c.unit or ""] * units,
            c.support,
            *[f"{c.missing:,}"] * missing,
            *span(c.smallest, c.largest),
            *[c.role] * roles,
        ]
        for c in columns
    ]
    numbers = [i for i, name in enumerate(header) if name in ("missing", "smallest", "largest")]
    return NumberTable("Columns", header, rows, numbers)


def _two_digits(value: float) -> str:
    digits = len(str(int(value))) - 2
    return f"{round(value, -digits) if digits > 0 else value:,.0f}"
