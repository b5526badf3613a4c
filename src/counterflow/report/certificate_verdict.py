"""What a certificate says of a student, in sentences that claim no more than the numbers do."""

import math

from ..diagnostics import Estimate
from ..distillation import Certificate
from ..distillation.weights import TRUSTED
from .certified import Certified
from .document import Finding, Status
from .numbers import compact, percent, with_error

NEAR, FAR = 0.01, 0.05  # nats per column, the larger of the two divergences
GOOD_TAIL = 0.5  # of k-hat: below it the weights have a variance


def student_findings(c: Certified) -> list[Finding]:
    """How far the student is from its teacher, and whether its draws can be corrected."""
    return [_distance(c), _weights(c.certificate)]


def k_hat_status(k_hat: float) -> Status:
    """Green, amber, red; open where there are too few draws."""
    if math.isnan(k_hat):
        return Status.OPEN
    return Status.GOOD if k_hat <= GOOD_TAIL else Status.SMALL if k_hat <= TRUSTED else Status.ATTENTION


def k_hat_in_words(k_hat: float) -> str:
    """What may be concluded from weights of such a tail."""
    return {
        Status.OPEN: "too few draws to tell",
        Status.GOOD: "good; weighted means and their errors can be trusted",
        Status.SMALL: "usable; weighted means converge, more slowly than their errors say",
        Status.ATTENTION: "too heavy; no weighted mean can be trusted, though draws of the student may be good",
    }[k_hat_status(k_hat)]


def estimate_in_words(value: Estimate, decimals: int | None = None) -> str:
    """A divergence with its error, or infinity, which has none."""
    if not math.isfinite(value.mean):
        return compact(value.mean)
    return with_error(value.mean, value.standard_error, decimals)


def _distance(c: Certified) -> Finding:
    found = c.certificate
    both = [("the teacher", found.kl)]
    if found.on_teacher is not None:
        both.append(("its draws", found.on_teacher.kl))
    worst = max(value.mean for _, value in both) / found.features
    size = f"{estimate_in_words(found.kl)} nats"
    if worst <= NEAR:
        status, sentence = Status.GOOD, f"Close to its teacher: KL {size}."
    elif worst <= FAR:
        status, sentence = Status.SMALL, f"Near its teacher: KL {size}."
    else:
        status, sentence = Status.ATTENTION, f"Not yet its teacher: KL {size}; train it longer, or make it larger."
    detail = f"{compact(found.kl_per_dimension, 2)} nats per column"
    if found.on_teacher is not None:
        detail += f"; on the teacher's draws {estimate_in_words(found.on_teacher.kl)} nats"
    return Finding(status, "Student", sentence, detail, "certificate")


def _weights(found: Certificate) -> Finding:
    w = found.weights
    status = k_hat_status(w.k_hat)
    words = {
        Status.OPEN: "Too few draws to say whether the student's can be corrected.",
        Status.GOOD: "Draws of the student can be corrected to the teacher's law.",
        Status.SMALL: "Draws of the student can be corrected, with more error than is said.",
        Status.ATTENTION: "Draws of the student cannot be corrected by their weights.",
    }
    detail = f"k-hat {compact(w.k_hat, 2) or 'unknown'}, effective share {percent(w.effective_fraction)}"
    return Finding(status, "Correction", words[status], detail, "certificate")
