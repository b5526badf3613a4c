"""A law is believed only after it has caught a mistake: each planted one is caught by the law meant for it."""

import pytest

from counterflow.testing import LawBroken, broken_laws, enforce
from laws.planted import PLANTED, Planted


@pytest.mark.parametrize("mistake", PLANTED.values(), ids=PLANTED.keys())
def test_planted_mistake_is_caught_by_its_law(mistake: Planted) -> None:
    with pytest.raises(LawBroken) as caught:
        enforce(mistake.kind, mistake.law, mistake.broken, **mistake.options)
    assert caught.value.law.name == mistake.law
    assert mistake.law in str(caught.value)
    assert str(caught.value.case) in str(caught.value)


@pytest.mark.parametrize("mistake", PLANTED.values(), ids=PLANTED.keys())
def test_honest_version_passes_the_same_law(mistake: Planted) -> None:
    assert enforce(mistake.kind, mistake.law, mistake.honest, **mistake.options) > 0


def test_a_mistake_is_among_all_the_broken_laws() -> None:
    mistake = PLANTED["wrong sign of the log-det"]
    broken = broken_laws(mistake.kind, mistake.broken, **mistake.options)
    assert {mistake.law, "log dets cancel"} <= broken.keys()
    assert "inputs are untouched" not in broken
