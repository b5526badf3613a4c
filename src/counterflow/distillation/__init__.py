"""Distillation: a fast student of a slow teacher, its certificate, and its correction."""

from .certificate import Certificate, OnTeacherDraws, certify
from .correction import Accepted, Chains, Resampled, importance_resample, metropolis, reject
from .distilling import default_objective, distil
from .door import check_pair
from .matching import MatchedLayers
from .objectives import ForwardKL, OtherContexts, PathKL, ReverseKL, StepwiseKL, StepwiseNormalKL, Sum
from .students import Convolutional, Masked, student_of
from .throughput import Throughput, throughput
from .weights import WeightReport, report_of

__all__ = [
    "distil",
    "default_objective",
    "check_pair",
    "student_of",
    "Masked",
    "Convolutional",
    "MatchedLayers",
    "ReverseKL",
    "PathKL",
    "StepwiseKL",
    "StepwiseNormalKL",
    "ForwardKL",
    "OtherContexts",
    "Sum",
    "certify",
    "Certificate",
    "OnTeacherDraws",
    "throughput",
    "Throughput",
    "WeightReport",
    "report_of",
    "importance_resample",
    "Resampled",
    "reject",
    "Accepted",
    "metropolis",
    "Chains",
]
