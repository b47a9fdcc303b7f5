"""Texts that real clients write in a form of their own, rewritten as the specification has it; None where none can be.

Only the notation changes: the instant, the number, the address stays the same. Used by `lrs.xapi.repairs` on what is
not valid; section numbers are those of xAPI 1.0.3.
"""

import re
from urllib.parse import unquote

import msgspec

from lrs.xapi import structs

ACTIVITY_PREFIX = "tag:adlnet.gov,2013:expapi:0.9:activities:"
EXTENSION_PREFIX = "tag:adlnet.gov,2013:expapi:0.9:extensions:"
VERB_PREFIX = "http://adlnet.gov/expapi/verbs/"
TYPE_PREFIX = "http://adlnet.gov/expapi/activities/"
"""What stands before names that are no IRIs: xAPI 1.0.3, Communication, Appendix A."""

_VERBS = (
    "answered asked attempted attended commented completed created deleted exited experienced failed imported "
    "initialized interacted launched mastered passed preferred progressed registered responded resumed scored shared "
    "suspended terminated updated"
)
VERBS = frozenset(_VERBS.split())
"""ADL's verbs, by the names that xAPI 0.9 has in place of IRIs; not `voided`, which Appendix A does not convert."""
_TYPES = (
    "assessment cmi.interaction course file interaction lesson link media meeting module objective performance "
    "question simulation"
)
TYPES = frozenset(_TYPES.split())
"""ADL's activity types, likewise."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NOT_IN_AN_IRI = re.compile(r"[\s<>\"{}|\\^`\x00-\x20]")
_HOST = re.compile(r"(?:[\w-]+\.)+[A-Za-z]{2,}(?::\d+)?(?:[/?#].*)?\Z")
_HEX = re.compile(
    r"(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?\Z", re.I
)
_NUMBER = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?([eE][+-]?\d+)?\Z", re.ASCII)
_CLOCK = re.compile(r"(\d{1,4}):([0-5]?\d):([0-5]?\d(?:\.\d+)?)\Z", re.ASCII)
_WITHOUT_T = re.compile(r"P(?=.*[HS])[\d.,HMS]+\Z", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ]\s*(\d{2}:\d{2})(:\d{2})?(?:[.,](\d+))?"
    r"\s*(?:([Zz]|UTC|GMT)|([+-]\d{2})(?::?(\d{2}))?)?\Z",
    re.ASCII,
)


def iri(text: str, prefix: str | None = None) -> str | None:
    """Write what may not stand in an IRI (spaces, for one) in percent; put the prefix where the scheme is missing."""
    stripped = text.strip()
    if not stripped:
        return None
    if not _SCHEME.match(stripped):
        if prefix is None:
            return None
        stripped = prefix + stripped
    return _NOT_IN_AN_IRI.sub(_percent, stripped)


def url(text: str) -> str | None:
    """Add http:// to a web address that begins with its host."""
    return iri(text) or (iri(f"http://{text.strip()}") if _HOST.match(text.strip()) else None)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode())


def mbox(text: str) -> str | None:
    """Write mailto: in lower case before an address, without spaces around it (2.4.2.3)."""
    address = unquote(text).strip() if "@" not in text else text.strip()
    if address[:7].lower() == "mailto:":
        address = address[7:].strip()
    return f"mailto:{address}"


def uuid(text: str) -> str | None:
    """Write a UUID with hyphens, and without braces or urn:uuid: (4.4)."""
    found = _HEX.match(text.strip())
    return "-".join(found.groups()) if found else None


def timestamp(text: str) -> str | None:
    """Write an ISO 8601 date and time as RFC 3339 has it (4.5); without a zone it is taken as UTC.

    The specification says that timestamps SHOULD be in UTC, so that is what a client without a zone may be held to.
    Never without a time of day: it would have to be invented.
    """
    found = _INSTANT.match(text.strip())
    if found is None:
        return None
    day, minutes, seconds, fraction, _, hours, rest = found.groups()
    zone = f"{hours}:{rest or '00'}" if hours else "Z"
    zone = "Z" if zone == "-00:00" else zone
    return f"{day}T{minutes}{seconds or ':00'}{f'.{fraction}' if fraction else ''}{zone}"


def duration(text: str) -> str | None:
    """Write hours, minutes and seconds as ISO 8601 has them (4.6): SCORM 1.2 writes 0001:02:03.5, some leave out T."""
    stripped = text.strip()
    if clock := _CLOCK.match(stripped):
        hours, minutes, seconds = clock.groups()
        whole, dot, fraction = seconds.partition(".")
        return f"PT{int(hours)}H{int(minutes)}M{int(whole)}{dot}{fraction}S"
    written = stripped.upper()
    return f"PT{written[1:]}" if _WITHOUT_T.match(written) else written


def language(text: str) -> str | None:
    """Write a language tag with hyphens, as much of it as is one: en_us_wp is en-us, C.UTF-8 is none (4.2)."""
    subtags = text.strip().partition(".")[0].partition("@")[0].replace("_", "-").split("-")
    while subtags:
        tag = "-".join(subtags)
        if _is_language_tag(tag):
            return tag
        subtags.pop()
    return None


def _is_language_tag(text: str) -> bool:
    try:
        msgspec.convert(text, structs.LanguageTag)
    except msgspec.ValidationError:
        return False
    return True


def number(text: str) -> str | None:
    """Write a number as JSON has it: without + and zeros before it, with a digit on both sides of the point."""
    found = _NUMBER.match(text.strip())
    if found is None or not (found[2] or found[3]):
        return None
    sign, whole, fraction, exponent = found.groups()
    return f"{'-' if sign == '-' else ''}{whole.lstrip('0') or '0'}{f'.{fraction}' if fraction else ''}{exponent or ''}"


def boolean(text: str) -> bool | None:
    """Read true, false, 1 and 0."""
    return {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower())


def interaction_type(text: str, known: tuple[str, ...]) -> str | None:
    """Find the interaction type that differs in case, hyphens, underscores or spaces only (2.4.4.1)."""
    by_letters = {_letters(one): one for one in known}
    return by_letters.get(_letters(text))


def _letters(text: str) -> str:
    return re.sub(r"[\s_-]", "", text).lower()
