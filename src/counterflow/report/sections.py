"""The sections of a report about how good the model is: likelihood, data and samples, marginals, the three tests."""

from collections.abc import Sequence

from .clouds import Pairs, corner_plot, label_of, marginal_plot
from .curves import coverage_plot, neighbour_plot, two_sample_plot, uniform_plot
from .document import Block, Figure, Figures, Heading, Legend, NumberTable, Section, Words
from .numbers import chance, counted, decimals_for, fixed, listed, percent, shortened, with_error
from .results import Calibration, Clouds, Coverage, HeldOutLikelihood, Memorisation, TwoSample, Uniform
from .scales import effective_rows
from .verdict import CHANCE, stands_out

CORNER_COLUMNS = 6
SHOWN_MARGINALS = 24
SHOWN_UNIFORMS = 12
_NBSP = "\N{NO-BREAK SPACE}"
_HALF, _MOST = f"50{_NBSP}%", f"90{_NBSP}%"


def likelihood(score: HeldOutLikelihood) -> Section:
    """A table of densities, and of differences."""
    lines = [("this model", score.model, False), ("fitted Gaussian", score.gaussian, False)]
    lines += [(score.previous_name, score.previous, False), ("this model minus Gaussian", score.gain, True)]
    lines += [(f"this model minus {score.previous_name}", score.previous_gain, True)]
    known = [(name, value, strong) for name, value, strong in lines if value is not None]
    digits = decimals_for(value.standard_error for _, value, _ in known)
    rows = [(name, with_error(value.mean, value.standard_error, digits)) for name, value, _ in known]
    strong = [i for i, (_, _, is_strong) in enumerate(known) if is_strong]
    words = f"Mean over {score.model.rows:,} {score.rows_are}, ± one standard error. More is better."
    if strong:
        words += " The error of a difference is that of the row-by-row differences."
    table = NumberTable("Held-out log-likelihood", ["density", "nats per row"], rows, [1], strong)
    notes = [Words(score.note, soft=True)] if score.note else []
    return Section("likelihood", "Held-out log-likelihood", [table, Words(words, soft=True), *notes], "Likelihood")


def images(figures: Sequence[Figure]) -> Section:
    """Rows of data and of samples, as they look."""
    return Section("images", "Data and samples as pictures", [Figures(figures)], "Pictures")


def corner(clouds: Clouds, pairs: Pairs) -> Section:
    """Pairs of the columns that differ most."""
    shown = _worst_first(clouds)[:CORNER_COLUMNS]
    names = [clouds.columns[i].name for i in shown]
    caption = (
        f"{_chosen(clouds, names)} Diagonal: each column alone. Below: pairs; areas (data) and lines (samples) hold "
        f"the densest {_HALF} and {_MOST}. "
    )
    if any(pairs.scale(i).steps for i in shown):
        caption += f"At whole numbers they hold the middle {_HALF} and {_MOST}; discs and rings show shares. "
    figure = Figure(
        corner_plot(pairs, shown),
        caption + "Look for lines that leave the edges of the areas.",
        f"Corner plot of data and samples of {listed(names)}",
        narrowest=5.6 * len(shown) if len(shown) > 3 else 0.0,
        widest=7.6 * len(shown) + 4,
    )
    size = "wide" if len(shown) > 2 else "medium"
    blocks = [_legend(clouds), Figures([figure], size), *_about(clouds)]
    return Section("pairs", "Data and samples", blocks)


def marginals(clouds: Clouds, pairs: Pairs) -> Section:
    """Every column, the worst first."""
    order = _worst_first(clouds)
    shown = order[:SHOWN_MARGINALS]
    figures = [
        Figure(
            marginal_plot(pairs, i),
            _distance(clouds, i) + _beyond(pairs.outside(i)),
            f"Histogram of {clouds.columns[i].name}, data and samples",
            label_of(clouds.columns[i], 34),
        )
        for i in shown
    ]
    left = len(order) - len(shown)
    first = "The columns that differ most come first. " if clouds.distances is not None else ""
    words = f"{first}Look for a line that leaves its area."
    if left:
        words += f" {counted(left, 'column')} more {'are' if left > 1 else 'is'} left out" + (
            ": their distances are smaller." if clouds.distances is not None else "."
        )
    if clouds.distances is not None:
        words += f" The number below each is the {clouds.distance_is}"
        controlled = any(d.control is not None for d in clouds.distances)
        words += "; in brackets, what data against as many other data show." if controlled else "."
        if any(d.p_value is not None for d in clouds.distances):
            words += f" A ! marks p{_NBSP}<{_NBSP}{CHANCE:g} among so many columns."
    return Section("marginals", "Each column", [Words(words), _legend(clouds), Figures(figures, "small")])


def calibration(c: Calibration) -> Section:
    """Coverage first, histograms after."""
    blocks: list[Block] = []
    curves = []
    if c.coverage is not None:
        words = "Highest-density regions: the share of rows in the region that claims to hold so many. "
        curves.append(_coverage_figure(c.coverage, words, "Highest-density regions"))
    if c.tarp is not None:
        words = "Regions around random points (TARP): the same, for the whole posterior. "
        curves.append(_coverage_figure(c.tarp, words, "Random regions"))
    if curves:
        blocks.append(Figures(curves))
    kinds = (
        (c.coordinates, "Columns", "Where each value lies in the law that the model gives it (PIT)."),
        (c.base, "Base space", "Rows taken back to noise, coordinate by coordinate (PIT)."),
        (c.ranks, "Ranks", "Rank of the true value among draws of the model (simulation-based calibration)."),
    )
    first = True
    for uniforms, heading, words in kinds:
        if uniforms:
            blocks += _uniform_blocks(uniforms, heading, words, first)
            first = False
    return Section("calibration", "Calibration", blocks)


def two_sample(result: TwoSample) -> Section:
    """Accuracy and area under the curve, beside the control."""
    lines = (
        ("samples against data", result.auc, result.accuracy),
        ("data against data (control)", result.control_auc, result.control_accuracy),
    )
    errors = [value.standard_error for _, *values in lines for value in values]
    digits = min(decimals_for(errors, 3), 4)
    rows = [
        (name, *(with_error(value.mean, value.standard_error, digits) for value in (auc, accuracy)), f"{auc.rows:,}")
        for name, auc, accuracy in lines
    ]
    table = NumberTable("Two-sample test", ["", "AUC", "accuracy", "N"], rows, [1, 2, 3])
    caption = (
        f"{_sentence(result.classifier)} learnt to tell samples from data; judged on rows that it had not seen. "
        "Bars: two standard errors. Look for samples to the right of other data."
    )
    figure = Figure(two_sample_plot(result), caption, "Areas under the ROC curve, of samples and of the control")
    return Section("two-sample", "Two-sample test", [table, Figures([figure])])


def memorisation(result: Memorisation) -> Section:
    """Distances to the training rows."""
    share = percent(result.share.mean, result.share.standard_error)
    words = f"{share} {result.share_is}; {percent(result.expected)} are expected of a model that does not copy."
    caption = (
        f"{_sentence(result.distance_is)}. Look for samples left of the held-out rows: nearer to training rows than "
        "new data are."
    )
    alt = "Distances to the nearest training row, of samples and of held-out rows"
    legend = Legend(
        [("data", f"{len(result.held_out):,} held-out rows"), ("samples", f"{len(result.samples):,} samples")]
    )
    figure = Figure(neighbour_plot(result), caption, alt)
    return Section("memorisation", "Memorisation", [Words(words), legend, Figures([figure])])


def _uniform_blocks(uniforms: Sequence[Uniform], heading: str, words: str, explain: bool) -> list[Block]:
    worst = sorted(uniforms, key=lambda u: (u.p_value, -u.distance))[:SHOWN_UNIFORMS]
    left = len(uniforms) - len(worst)
    if explain:
        words += " Flat is right; 1 bin in 20 leaves the grey band by chance, and the axis does not start at 0."
        words += " A hill: the model is too wide. A valley: too narrow. A slope: shifted."
        words += (
            f" The gap is the largest one to the uniform distribution function; a ! marks p{_NBSP}<{_NBSP}{CHANCE:g}."
        )
    if left:
        words += f" The {len(worst)} least flat are shown, {left:,} left out."
    figures = [
        Figure(
            uniform_plot(u),
            f"{'! ' * (u.p_value < CHANCE)}gap {fixed(u.distance, 3)}, {chance(u.p_value)}",
            f"{heading}: histogram of {u.name}",
            shortened(u.name, 34),
        )
        for u in worst
    ]
    return [Heading(heading), Words(words), Figures(figures, "small")]


def _coverage_figure(coverage: Coverage, words: str, heading: str) -> Figure:
    caption = words + "Bars: two standard errors. Look for points whose bars do not reach the dashed line."
    return Figure(coverage_plot(coverage), caption, f"{heading}: coverage measured against claimed", heading)


def _worst_first(clouds: Clouds) -> list[int]:
    every = list(range(len(clouds.columns)))
    distances = clouds.distances
    return every if distances is None else sorted(every, key=lambda i: -distances[i].value)


def _chosen(clouds: Clouds, names: Sequence[str]) -> str:
    total = len(clouds.columns)
    if clouds.distances is None:
        return "All columns." if len(names) == total else f"The first {len(names)} of {total} columns."
    if len(names) == total:
        return "All columns, the one that differs most first."
    return f"{len(names)} of {total} columns: those whose marginals differ most, the worst first ({', '.join(names)})."


def _legend(clouds: Clouds) -> Legend:
    rows, samples = f"{len(clouds.data):,} {clouds.data_are}", f"{len(clouds.samples):,} samples of the model"
    return Legend([("data", rows), ("samples", samples)])


def _about(clouds: Clouds) -> list[Block]:
    words = clouds.note
    if clouds.data_weights is not None:
        worth = effective_rows(clouds.data_weights)
        words += f" The rows are weighted: {len(clouds.data):,} of them are worth {worth:,.0f} equal ones."
    return [Words(words.strip(), soft=True)] if words else []


def _distance(clouds: Clouds, column: int) -> str:
    if clouds.distances is None:
        return ""
    distance = clouds.distances[column]
    control = "" if distance.control is None else f" ({fixed(distance.control, 3)})"
    mark = "! " if stands_out(distance) else ""
    return f"{mark}{fixed(distance.value, 3)}{control}"


def _beyond(share: float) -> str:
    return f"; {percent(share)} of samples beyond" if share > 0.02 else ""


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]
