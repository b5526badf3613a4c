"""The names of the models that `fit --model` knows; making one is in making.py, which takes torch."""

import enum


class Preset(enum.StrEnum):
    """Names for people; in Python, call the function of `counterflow.models` of that name."""

    RECOMMENDED = "recommended"
    MAF = "maf"
    NSF = "nsf"
    NSF_COUPLING = "nsf-coupling"
    REALNVP = "realnvp"
    NICE = "nice"
    MADE = "made"
    MADE_MOG = "made-mog"
