"""Request limits, of credentials and of strangers, counted in the broker that all web processes share.

A limit of N requests a minute lets N through at once after a quiet minute, and then one every 60/N seconds: a token
bucket, kept as the one moment at which it will be full again (GCRA). By the broker's clock, so that hosts' clocks and
their number do not matter; one round trip, and only for who has a limit.
"""

import logging
import time

from flask import Flask, current_app
from redis import Redis, RedisError

import lrs

log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.25
"""How long a request may be held up by a broker that does not answer."""
_PAUSE_SECONDS = 5.0
"""So long a broker that did not answer is not asked again."""

_NAME = "lrs-bridge-limits"

_COUNT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + 60 / tonumber(ARGV[1])
if full_at - now > 60.000001 then
    return string.format('%.6f', full_at - now - 60)
end
if ARGV[2] == 'count' then
    redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000))
end
return '0'
"""


class Limits:
    """What was asked lately, and by whom."""

    def __init__(self, redis_url: str) -> None:
        broker = Redis.from_url(redis_url, socket_timeout=_WAIT_SECONDS, socket_connect_timeout=_WAIT_SECONDS)
        self._script = broker.register_script(_COUNT)
        self._asked_again_at = 0.0

    def count(self, who: str, a_minute: int) -> float:
        """Count a request of somebody who may make so many a minute; gives the seconds to wait, 0 for none."""
        return self._ask(who, a_minute, "count")

    def look(self, who: str, a_minute: int) -> float:
        """Give the seconds to wait before one more would be counted, and count none."""
        return self._ask(who, a_minute, "look")

    def _ask(self, who: str, a_minute: int, what: str) -> float:
        if time.monotonic() < self._asked_again_at:
            return 0
        try:
            return float(self._script(keys=[f"lrs-bridge:limit:{who}"], args=[a_minute, what]))
        except RedisError as error:
            # Rather too many statements than none: what is refused here may be lost for good.
            log.warning("The broker does not answer (%s); limits of requests are not held.", error)
            self._asked_again_at = time.monotonic() + _PAUSE_SECONDS
            return 0


def init_app(app: Flask, redis_url: str) -> lrs.Limit:
    """Give the application its limits, and the LRS what it asks before it serves a credential that has one."""
    made = app.extensions[_NAME] = Limits(redis_url)
    return lambda credential_id, requests_per_minute: made.count(str(credential_id), requests_per_minute)


def current() -> Limits:
    """Give the limits of the application at work."""
    found: Limits = current_app.extensions[_NAME]
    return found
