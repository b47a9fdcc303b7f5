"""Canonical alias keys: one text per identity, so that equal identities are equal texts.

`account:<homePage>|<name>`, `mbox:mailto:<address>`, `mbox_sha1sum:<hex>`, `openid:<uri>` and `user:<source>|<id>`.
Addresses are compared without regard to case: mail systems do, and LMSs and rosters write them as they like.
"""

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


def of_mbox(address: str) -> str:
    """Give the alias of a mail address, with or without its `mailto:`."""
    address = address.strip().lower()
    return f"mbox:mailto:{address.removeprefix('mailto:')}"


def of_mbox_sha1sum(hexadecimal: str) -> str:
    """Give the alias of the SHA-1 of a mailto address."""
    return f"mbox_sha1sum:{hexadecimal.strip().lower()}"


def of_openid(uri: str) -> str:
    """Give the alias of an OpenID."""
    return f"openid:{uri.strip()}"


def of_user(source: str, user: str) -> str:
    """Give the alias of a user of a performance source."""
    return f"user:{source}|{user}"


SHAPES = {"mbox": of_mbox, "mbox_sha1sum": of_mbox_sha1sum, "openid": of_openid}
