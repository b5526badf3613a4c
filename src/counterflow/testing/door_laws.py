"""Laws on what is refused, and with which error: contexts, widths, integers."""

from .cases import Case, Law, refused, require


def a_missing_context_is_refused(case: Case) -> None:
    """A call without the context that it needs raises ValueError."""
    subject = case.subject()
    if not case.context_features:
        return
    for call in case.calls(subject):
        refused(lambda c=call: c.function(subject, c.point, None), ValueError, f"{call.name} without its context")  # type: ignore[misc]


def a_surplus_context_is_refused(case: Case) -> None:
    """A call with a context that the class does not take raises ValueError (TypeError if there is no such argument)."""
    subject = case.subject()
    if case.context_features or not case.traits.refuses_context:
        return
    context = case.noise(2)
    for call in case.calls(subject):
        refused(
            lambda c=call: c.function(subject, c.point, context),  # type: ignore[misc]
            (ValueError, TypeError),
            f"{call.name} with a context that it does not take",
        )


def an_ill_shaped_context_is_refused(case: Case) -> None:
    """A context of another width, or with batch axes that do not broadcast, raises ValueError."""
    if not case.context_features:
        return
    subject = case.with_(batch=(3,)).subject()
    for call in case.with_(batch=(3,)).calls(subject):
        contexts = {
            "wider": case.with_(batch=(3,)).noise(case.context_features + 1),
            "narrower": case.with_(batch=(3,)).noise(case.context_features - 1),
            "without axes": case.with_(batch=()).noise(),
            "of two rows for three points": case.with_(batch=(2,)).noise(case.context_features),
        }
        for name, context in contexts.items():
            refused(
                lambda c=call, context=context: c.function(subject, c.point, context),  # type: ignore[misc]
                ValueError,
                f"{call.name} with a context that is {name}",
            )


def another_width_is_refused(case: Case) -> None:
    """A point with another number of features, or without axes, raises ValueError: features never broadcast."""
    subject = case.subject()
    for call in case.calls(subject):
        if not call.refuses:
            continue
        for width in {case.features + 1, 1, case.features - 1} - {case.features}:
            refused(
                lambda c=call, width=width: c.function(subject, case.noise(width), c.context),  # type: ignore[misc]
                ValueError,
                f"{call.name} of a point with {width} features",
            )
        refused(
            lambda c=call: c.function(subject, case.with_(batch=()).noise(), c.context),  # type: ignore[misc]
            ValueError,
            f"{call.name} of a point without axes",
        )


def integers_are_refused(case: Case) -> None:
    """A point of integers raises TypeError: it is not silently rounded or converted."""
    subject = case.subject()
    for call in case.calls(subject):
        if call.refuses:
            refused(
                lambda c=call: c.function(subject, c.point.long(), c.context),  # type: ignore[misc]
                TypeError,
                f"{call.name} of integers",
            )


def the_context_matters(case: Case) -> None:
    """Another context gives another answer."""
    if not case.context_features:
        return
    own = case.with_(batch=(8,))
    subject = own.subject()
    for call in own.calls(subject):
        assert call.context is not None
        moved = call.function(subject, call.point, call.context + own.noise(case.context_features, stream=60))
        same = all(bool((a == b).all()) for a, b in zip(call(subject), moved, strict=True))
        require(not same, f"{call.name} gives the same answer for another context")


LAWS = (
    Law(a_missing_context_is_refused, (1, 3)),
    Law(a_surplus_context_is_refused, (1, 3)),
    Law(an_ill_shaped_context_is_refused, (1, 3)),
    Law(another_width_is_refused, (1, 3)),
    Law(integers_are_refused, (1, 3)),
    Law(the_context_matters, (1, 3)),
)
