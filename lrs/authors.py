"""Who stored a statement: the authority that the LRS gives it (xAPI 1.0.3, Data 2.4.9), made of the credential."""

import json
from collections.abc import Iterable
from functools import lru_cache

from lrs.store import Author
from lrs.xapi import scopes
from lrs.xapi.terms import Term


def author(credential_id: int, key: str, name: str, held: Iterable[str], *, base_url: str) -> Author:
    """Give a credential as the author of statements: an Agent with the account of its key on this server."""
    return _made(credential_id, key, name, frozenset(held), base_url)


@lru_cache(1000)
def _made(credential_id: int, key: str, name: str, held: frozenset[str], base_url: str) -> Author:
    authority = {"objectType": "Agent", "name": name, "account": {"homePage": base_url, "name": key}}
    text = json.dumps(authority, ensure_ascii=False, separators=(",", ":"))
    defines = not held.isdisjoint(scopes.DEFINE)
    return Author(credential_id, text, Term("agent", f"account:{base_url}|{key}"), defines=defines)
