"""Training objectives: functions of densities, in nats per event."""

from .kl import forward_kl, log_prob_of, reverse_kl, reverse_kl_path
from .stepwise import stepwise_kl, stepwise_kl_normal, stepwise_terms

__all__ = [
    "forward_kl",
    "reverse_kl",
    "reverse_kl_path",
    "stepwise_kl",
    "stepwise_kl_normal",
    "stepwise_terms",
    "log_prob_of",
]
