"""Choosing one language of a language map (xAPI 1.0.3, Communication 2.1.3; Accept-Language as in RFC 2616, 14.4)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_RANGE = re.compile(
    r"\s*(?P<range>\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*[qQ]\s*=\s*(?P<quality>[01](?:\.\d{0,3})?)\s*)?\Z"
)


class Preference(NamedTuple):
    """A language range in lower case, and how much it is wanted: 0 (not at all) to 1."""

    range: str
    quality: float


def parse(header: str | None) -> list[Preference]:
    """Read Accept-Language; what is not understood in it is passed over, as nothing depends on it but taste."""
    found = [_RANGE.match(one) for one in (header or "").split(",")]
    return [Preference(one["range"].lower(), min(float(one["quality"] or 1), 1.0)) for one in found if one]


def choose(tags: Sequence[str], wanted: Sequence[Preference]) -> str | None:
    """Give the tag that is wanted most; None only when there is no tag.

    A range matches its own tag and those that begin with it; the longest range that matches a tag says how much that
    is wanted. Where none matches, a tag of the same primary language is better than another (RFC 4647, 3.4: en for
    en-GB), and one is always given: the reader gets a text rather than none. Among equals the sender's order decides.
    """
    ranked = [(_quality(tag.lower(), wanted), tag) for tag in tags]
    best = max((quality for quality, _ in ranked if quality is not None), default=0.0)
    if best > 0:
        equals = [tag for quality, tag in ranked if quality == best]
        return min(equals, key=lambda tag: _place(tag.lower(), wanted))
    refused = {tag for quality, tag in ranked if quality == 0}
    left = [tag for tag in tags if tag not in refused] or tags
    for preference in sorted(wanted, key=lambda one: -one.quality):
        for tag in left:
            if preference.quality and _primary(tag) == _primary(preference.range):
                return tag
    return left[0] if left else None


def _quality(tag: str, wanted: Sequence[Preference]) -> float | None:
    """Tell how much a tag is wanted; None when nothing is said of it."""
    matching = [one for one in wanted if _matches(one.range, tag)]
    if not matching:
        return None
    return max(matching, key=lambda one: 0 if one.range == "*" else len(one.range)).quality


def _place(tag: str, wanted: Sequence[Preference]) -> int:
    """Tell where the header has the first range that matches; ranges of one quality count in their order."""
    return next(place for place, one in enumerate(wanted) if _matches(one.range, tag))


def _matches(language: str, tag: str) -> bool:
    return language in {"*", tag} or tag.startswith(f"{language}-")


def _primary(tag: str) -> str:
    return tag.lower().partition("-")[0]
