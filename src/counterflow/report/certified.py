"""A student beside its teacher: the certificate, what draws cost, and what corrected draws are worth."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from ..diagnostics import Estimate
from ..diagnostics import TwoSample as Apart
from ..distillation import Certificate, Throughput
from ..distillation.certificate import LEVELS


@dataclasses.dataclass(frozen=True)
class Corrected:
    """Draws of the student picked by the weights teacher / student.

    Attributes:
        rows: How many were picked.
        proposals: From so many.
        distinct: The share of rows that are different proposals.
        apart: A classifier's attempt to tell them from exact draws of the teacher; None: too few rows.
    """

    rows: int
    proposals: int
    distinct: float
    apart: Apart | None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Certified:
    """All that is known of a pair of student and teacher.

    Attributes:
        teacher: Its name.
        columns: Names, in the order of the certificate's steps.
        certificate: Of the pair; of a conditional one, averaged over contexts.
        throughput: Of both, on one machine in one run.
        corrected: Draws of the student brought to the teacher's law.
        made: How the student was made, in a sentence.
    """

    teacher: str
    columns: Sequence[str]
    certificate: Certificate
    throughput: Throughput | None = None
    corrected: Corrected | None = None
    made: str = ""

    def sentences(self) -> list[str]:
        """In words."""
        lines = self.certificate.sentences()
        if self.throughput is not None:
            lines += self.throughput.sentences()
        return lines

    def to_json(self) -> dict[str, Any]:
        """JSON values; what is not finite is null."""
        c, w, other = self.certificate, self.certificate.weights, self.certificate.on_teacher
        values: dict[str, Any] = {
            "unit": "nats per row",
            "kl": _estimate(c.kl),
            "kl_per_dimension": _finite(c.kl_per_dimension),
            "draws": w.draws,
            "effective_share": _finite(w.effective_fraction),
            "k_hat": _finite(w.k_hat),
            "trusted": w.trusted,
            "log_normaliser": _estimate(w.log_mean) if w.trusted else None,
        }
        if c.steps is not None and c.step_errors is not None:
            numbers = zip(self.columns, c.steps.tolist(), c.step_errors.tolist(), strict=True)
            values["steps"] = {n: {"mean": _finite(m), "standard_error": _finite(e)} for n, m, e in numbers}
        if other is not None:
            values["forward_kl"] = _estimate(other.kl)
            quantiles = zip(LEVELS, other.quantiles, strict=True)
            values["log_ratio_on_teacher"] = {f"{level:g}": _finite(value) for level, value in quantiles}
            values["uncovered"] = _finite(other.uncovered)
            values["uncovered_if_same"] = other.uncovered_if_same
            values["outside_support"] = other.outside
            values["two_sample"] = _apart(other.two_sample)
        if self.throughput is not None:
            values["throughput"] = dataclasses.asdict(self.throughput)
        if self.corrected is not None:
            found = self.corrected
            values["corrected"] = {
                "rows": found.rows,
                "proposals": found.proposals,
                "distinct": found.distinct,
                "two_sample": _apart(found.apart),
            }
        return values


def _estimate(value: Estimate) -> dict[str, Any]:
    return {"mean": _finite(value.mean), "standard_error": _finite(value.standard_error), "rows": value.rows}


def _apart(found: Apart | None) -> dict[str, Any] | None:
    if found is None:
        return None
    ours, control = found.samples, found.control
    return {
        "auc": ours.auc,
        "standard_error": ours.auc_error,
        "control_auc": control.auc,
        "control_standard_error": control.auc_error,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
