"""What classes mean: ids and names that two sets, or a run and a set, have to agree on."""

TOLD = 5
"""Differences that a message names."""

Categories = tuple[tuple[int, str], ...]
"""An id and a name for each class, in the order of the labels."""


def differences(known: Categories, found: Categories) -> str:
    """Where categories disagree, for people; empty where they agree.

    >>> differences(((1, "cat"), (2, "dog")), ((1, "dog"),))
    "1 ('cat', here 'dog'), 2 ('dog', here none)"
    """
    if known == found:
        return ""
    there, here = dict(known), dict(found)
    wrong = [
        f"{one} ({_shown(there.get(one))}, here {_shown(here.get(one))})"
        for one in sorted(there.keys() | here.keys())
        if there.get(one) != here.get(one)
    ]
    more = f" and {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
    return f"{', '.join(wrong[:TOLD])}{more}"


def _shown(name: str | None) -> str:
    return "none" if name is None else repr(name)
