"""Persons (xAPI 1.0.3, Communication 2.4)."""

from msgspec import UNSET

from lrs.xapi.structs import Agent


def person(agent: Agent) -> dict[str, object]:
    """Give the Person that an agent is part of: each property is a list, and the identifier is its own."""
    found: dict[str, object] = {"objectType": "Person"}
    for name in ("name", "mbox", "mbox_sha1sum", "openid"):
        if (value := getattr(agent, name)) is not UNSET:
            found[name] = [value]
    if agent.account is not UNSET:
        found["account"] = [{"homePage": agent.account.home_page, "name": agent.account.name}]
    return found
