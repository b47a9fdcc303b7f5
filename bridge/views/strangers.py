"""What anybody may send us unasked, held to so much a minute from one address: logins by LTI, webhooks, Live Events.

What is refused there counts, and what is taken does not: senders that prove themselves may send as much as they like,
as Canvas does when a course ends. Of logins, which prove nothing yet, each counts. An address that has used up its own
is answered with 429 before anything is looked at.
"""

import ipaddress
import math
import re
from collections.abc import Callable

from flask import Blueprint, Response, make_response, request
from flask.typing import ResponseReturnValue

from bridge import limits

REFUSED = 300
"""Of what was refused, a minute from one address: those who guess need more, and whoever is set up wrongly less."""
LOGINS = 600
"""A minute from one address: a company goes out by one, and its people may all be told to look at once."""
_REFUSALS = frozenset({400, 401, 403, 413})

_PORT = re.compile(r"^(?:([\d.]+)(?::\d+)?|\[([^]]*)\](?::\d+)?)$")
"""Of an address, as some proxies write it too."""

Answer = Callable[[str], ResponseReturnValue]


def hold(blueprint: Blueprint, *, logins: str | None = None, answer: Answer = lambda _: Response(status=429)) -> None:
    """Hold a blueprint to the limits; `logins` is its endpoint of which each request counts.

    `answer` gives what is said to who must wait.
    """

    def look() -> Response | None:
        found, where = limits.current(), _address()
        seconds = found.look(f"refused:{where}", REFUSED)
        if not seconds and logins is not None and request.endpoint == f"{blueprint.name}.{logins}":
            seconds = found.count(f"login:{where}", LOGINS)
        return _wait(answer, math.ceil(seconds)) if seconds else None

    def count(response: Response) -> Response:
        if response.status_code in _REFUSALS:
            limits.current().count(f"refused:{_address()}", REFUSED)
        return response

    blueprint.before_request(look)
    blueprint.after_request(count)


def _wait(answer: Answer, seconds: int) -> Response:
    response = make_response(answer(f"Too much has come from your address. Try again in {seconds} seconds."))
    response.status_code, response.headers["Retry-After"] = 429, str(seconds)
    return response


def _address() -> str:
    """Give whose request it is: who speaks to us, or to a proxy of ours, which is at a private address.

    Of `X-Forwarded-For` only what proxies of ours have added is believed: from its end, up to the first address that is
    not private. IPv6 gives everybody 2^64 addresses, which count as one.
    """
    found = ""
    for hop in (request.remote_addr or "", *reversed(request.headers.get("X-Forwarded-For", "").split(","))):
        try:
            ip = ipaddress.ip_address(_PORT.sub(r"\1\2", hop.strip()))
        except ValueError:
            if found or hop:  # a server that listens on a socket file names nobody
                break
            continue
        if isinstance(ip, ipaddress.IPv6Address):
            ip = ip.ipv4_mapped or ip
        found = str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, 64), strict=False))
        if ip.is_global:
            break
    return found
