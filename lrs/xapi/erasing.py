"""Taking a person out of statements and other JSON: what goes as a whole, and what stays without them.

- A statement whose actor is the person is theirs and goes. One that voids another stays without its actor, for what it
  voided must stay voided.
- Anywhere else (member of a group, object, instructor, team, within a SubStatement or an extension) the agent is
  replaced by `NOBODY`, the same for all persons, so that nothing tells one erased person from another.
- What identifies somebody else stays as it is, whatever it is made of: account names are one home page's alone, and
  an address at another host is another's. So do the ids of activities and verbs, but for mail addresses in them.
- Words that name the person are taken out of all other texts.
- A statement that was changed has no signature any more: the signature holds the whole of it as it was.

Who the person is is not known here, but asked: `is_erased(kind, text)`, so that keyed hashes can answer. Kinds: `agent`
(a canonical text, `lrs.xapi.terms.agent_key`), `word` (one that tells of one person alone, such as a mail address) and
`name` (the words of a name, see `name_key`).
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from lrs.xapi import exact
from lrs.xapi.structs import VOIDED

NOBODY = {"account": {"homePage": "https://erased.invalid", "name": "erased"}}
"""Stands where an agent stood; `.invalid` is nobody's (RFC 2606)."""
ERASED = "erased"
"""Stands where a word stood: good in texts, IRIs and mail addresses."""
NOWHERE = "https://erased.invalid/"
"""Stands where a whole IRI stood."""
SIGNATURE = "http://adlnet.gov/expapi/attachments/signature"
MOST_WORDS = 5
"""Of a name, one after the other."""
_IDENTIFIERS = {"account", "mbox", "mbox_sha1sum", "openid"}
_AS_SENT = {"id", "stored", "timestamp", "version"}
"""Members of a statement that never name a person."""
_PLAIN = re.compile(r"[A-Za-z_]{1,40}")
_SEPARATOR = r"(?:%20|[\s,;+_/.-])"
# An escape of an IRI ends a word, but for the one of the at sign.
_WORD = re.compile(r"%(?!40)[0-9A-Fa-f]{2}|(\w+(?:(?:%40|[.@+'\u2019-]+)\w+)*)")
_NAME_PART = re.compile(r"%[0-9A-Fa-f]{2}|([^\W\d_]+(?:['\u2019-][^\W\d_]+)*)")
_BETWEEN = re.compile(rf"{_SEPARATOR}{{1,4}}")

IsErased = Callable[[str, str], bool]
"""Tells of a kind and a text whether it is the person's."""


def statement(text: bytes | str, is_erased: IsErased) -> str | None:
    """Give a statement without the person: the same text if they do not come in, None if it is theirs.

    Raises ValueError for what is no JSON.
    """
    written = text if isinstance(text, str) else text.decode()
    sent = exact.read(written.encode())
    if not isinstance(sent, dict):
        return written
    if _is_theirs(sent, is_erased):
        return None
    cleaned = {key: value if key in _AS_SENT else without(value, is_erased) for key, value in sent.items()}
    return written if cleaned == sent else exact.write(_unsigned(cleaned))


def json(text: str, is_erased: IsErased) -> str:
    """Give JSON without the person; the same text if they do not come in. Raises ValueError for what is no JSON."""
    sent = exact.read(text.encode())
    cleaned = without(sent, is_erased)
    return text if cleaned == sent else exact.write(cleaned)


def without(value: Any, is_erased: IsErased) -> Any:  # noqa: ANN401  JSON is anything
    """Give a value of JSON without the person."""
    match value:
        case str():
            return clean(value, is_erased)
        case list():
            return [without(one, is_erased) for one in value]
        case dict() if value.keys() & _IDENTIFIERS and any(is_erased("agent", key) for key in keys_of(value)):
            kind = value.get("objectType")
            return ({"objectType": kind} if isinstance(kind, str) else {}) | NOBODY
        case dict():
            return {_key(key, is_erased): _member(key, one, is_erased) for key, one in value.items()}
    return value


def _member(key: str, value: Any, is_erased: IsErased) -> Any:  # noqa: ANN401  as above
    if key == "account" and isinstance(value, dict):  # of somebody else, as is known by now
        return value
    if (key in _IDENTIFIERS or key == "id") and isinstance(value, str):
        return _iri(value, is_erased)
    return without(value, is_erased)


def _iri(text: str, is_erased: IsErased) -> str:
    """Give what identifies somebody or something else; only mail addresses of the person are taken out."""
    return clean(text, lambda kind, word: kind == "word" and "@" in word and is_erased(kind, word))


def clean(text: str, is_erased: IsErased) -> str:
    """Give a text without words and names of the person."""
    if is_erased("word", fold(text)):
        return NOWHERE if ":" in text else ERASED
    text = _WORD.sub(lambda found: ERASED if found[1] and is_erased("word", fold(found[1])) else found[0], text)
    for begin, end in reversed(list(_names(text, is_erased))):
        text = text[:begin] + ERASED + text[end:]
    return text


def fold(word: str) -> str:
    """Give a word as all its spellings are compared: without case, `mailto:` and the escape of the at sign."""
    return unicodedata.normalize("NFKC", word).casefold().strip().removeprefix("mailto:").replace("%40", "@")


def name_key(name: str) -> str:
    """Give a name without accents, case, punctuation and order of words."""
    apart = unicodedata.normalize("NFKD", name).casefold()
    return " ".join(sorted(re.findall(r"[^\W\d_]+", "".join(one for one in apart if not unicodedata.combining(one)))))


def _names(text: str, is_erased: IsErased) -> Iterator[tuple[int, int]]:
    """Give where names of the person stand, from left to right, none over another."""
    parts = [found.span(1) for found in _NAME_PART.finditer(text) if found[1]]
    joined = [bool(_BETWEEN.fullmatch(text, one[1], other[0])) for one, other in pairwise(parts)]
    place = 0
    while place < len(parts):
        last = place
        for ahead in range(place + 1, min(place + MOST_WORDS, len(parts))):
            if not joined[ahead - 1]:
                break
            if is_erased("name", name_key(text[parts[place][0] : parts[ahead][1]])):
                last = ahead
        if last > place:
            yield parts[place][0], parts[last][1]
        place = last + 1


def keys_of(agent: dict[str, Any]) -> Iterator[str]:
    """Give the canonical texts under which an agent as JSON is known: of a mail address also its hash."""
    account, mbox = agent.get("account"), agent.get("mbox")
    if isinstance(account, dict):
        yield f"account:{account.get('homePage')}|{account.get('name')}"
    if isinstance(mbox, str):
        yield from spellings(f"mbox:{mbox.lower()}")
    if isinstance(hashed := agent.get("mbox_sha1sum"), str):
        yield f"mbox_sha1sum:{hashed.lower()}"
    if isinstance(openid := agent.get("openid"), str):
        yield f"openid:{openid}"


def spellings(key: str) -> list[str]:
    """Give an agent's canonical text, and of a mail address also that of its hash."""
    return [key, f"mbox_sha1sum:{sha1(key.removeprefix('mbox:'))}"] if key.startswith("mbox:") else [key]


def sha1(mbox: str) -> str:
    """Give what `mbox_sha1sum` says of a mailto IRI (Data 2.4.2.3)."""
    return hashlib.sha1(mbox.encode(), usedforsecurity=False).hexdigest()


def _is_theirs(sent: dict[str, Any], is_erased: IsErased) -> bool:
    actor, verb = sent.get("actor"), sent.get("verb")
    voids = isinstance(verb, dict) and verb.get("id") == VOIDED
    return not voids and isinstance(actor, dict) and any(is_erased("agent", key) for key in keys_of(actor))


def _key(key: str, is_erased: IsErased) -> str:
    if _PLAIN.fullmatch(key):
        return key
    return _iri(key, is_erased) if ":" in key else clean(key, is_erased)


def _unsigned(sent: dict[str, Any]) -> dict[str, Any]:
    attachments = sent.get("attachments")
    if not isinstance(attachments, list):
        return sent
    kept = [one for one in attachments if not (isinstance(one, dict) and one.get("usageType") == SIGNATURE)]
    return {key: kept if key == "attachments" else value for key, value in sent.items() if key != "attachments" or kept}
