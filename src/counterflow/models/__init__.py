"""Models: one function per paper, each a few lines over a flow."""

from .coupling import nice, nsf_coupling, realnvp
from .made import made, made_mog
from .maf import iaf, maf, maf_mog
from .mixing import Reverse, ReverseLU, Shuffle
from .nsf import nsf
from .recommended import recommended

__all__ = [
    "Reverse",
    "ReverseLU",
    "Shuffle",
    "iaf",
    "made",
    "made_mog",
    "maf",
    "maf_mog",
    "nice",
    "nsf",
    "nsf_coupling",
    "realnvp",
    "recommended",
]
