"""The query parameters of a request."""

from contextlib import suppress

from flask import g, request

from lrs.errors import Invalid
from lrs.xapi import repairs, validation


def parameters() -> dict[str, list[str]]:
    """Give each parameter's values; what a lenient credential sends as agent is repaired as an actor is."""
    asked = request.args.to_dict(flat=False)
    if g.grant.lenient and "agent" in asked:
        asked["agent"] = [_agent(value) for value in asked["agent"]]
    return asked


def _agent(value: str) -> str:
    with suppress(Invalid):
        validation.validate_actor(value)
        return value
    return repairs.repair_agent(value)
