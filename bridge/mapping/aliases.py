"""Canonical alias keys: one text per identity, so that equal identities are equal texts.

`account:<homePage>|<name>`, `mbox:mailto:<address>`, `mbox_sha1sum:<hex>`, `openid:<uri>`, `user:<source>|<id>` and
`employee:<number>`. A username is an account on its platform.
"""

import unicodedata
from typing import Any


def of_actor(actor: dict[str, Any]) -> str | None:
    """Give the alias of an xAPI Agent or identified Group; None for an anonymous group."""
    for kind in ("mbox", "mbox_sha1sum", "openid"):
        if isinstance(value := actor.get(kind), str) and value.strip():
            return SHAPES[kind](value)
    account = actor.get("account")
    if not isinstance(account, dict):
        return None
    home_page, name = account.get("homePage"), account.get("name")
    if not (isinstance(home_page, str) and isinstance(name, str) and home_page and name):
        return None
    return of_account(home_page, name)


def of_account(home_page: str, name: str) -> str:
    """Give the alias of an account: xAPI's inverse functional identifier, unchanged."""
    return f"account:{home_page}|{name}"


def of_mbox(written: str) -> str:
    """Give the alias of a mail address, with or without its `mailto:`."""
    return f"mbox:mailto:{address(written)}"


def of_mbox_sha1sum(hexadecimal: str) -> str:
    """Give the alias of the SHA-1 of a mailto address."""
    return f"mbox_sha1sum:{hexadecimal.strip().lower()}"


def of_openid(uri: str) -> str:
    """Give the alias of an OpenID."""
    return f"openid:{uri.strip()}"


def of_user(source: str, user: str) -> str:
    """Give the alias of a user of a performance source."""
    return f"user:{source}|{user}"


def of_employee(number: str) -> str:
    """Give the alias of an employee number."""
    return f"employee:{number}"


def address(written: str) -> str:
    """Give a mail address in the one form that equal addresses have: in lower case, as NFKC, its domain as punycode.

    Mail systems do not tell case apart, and LMSs and rosters write addresses as they like.
    """
    found = without_mailto(written).lower()
    if found.isascii():
        return found
    found = unicodedata.normalize("NFKC", found).lower().strip()
    name, at, domain = found.rpartition("@")
    if not at:
        return found
    try:
        return f"{name}{at}{domain.encode('idna').decode()}"
    except UnicodeError:  # no domain that can exist: it stays what it was
        return found


def without_mailto(written: str) -> str:
    """Give a mail address as it was written, without spaces around it and `mailto:`."""
    written = written.strip()
    return written[7:] if written[:7].lower() == "mailto:" else written


SHAPES = {"mbox": of_mbox, "mbox_sha1sum": of_mbox_sha1sum, "openid": of_openid, "employee": of_employee}
