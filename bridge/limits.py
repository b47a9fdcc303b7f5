"""Request limits of credentials, counted in the broker that all web processes share.

A limit of N requests a minute lets N through at once after a quiet minute, and then one every 60/N seconds: a token
bucket, kept as the one moment at which it will be full again (GCRA). By the broker's clock, so that hosts' clocks and
their number do not matter; one round trip, and only for a credential that has a limit.
"""

import logging
import time

from redis import Redis, RedisError

import lrs

log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.25
"""How long a request may be held up by a broker that does not answer."""
_PAUSE_SECONDS = 5.0
"""So long a broker that did not answer is not asked again."""

_COUNT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + 60 / tonumber(ARGV[1])
if full_at - now > 60.000001 then
    return string.format('%.6f', full_at - now - 60)
end
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000))
return '0'
"""


def limit(redis_url: str) -> lrs.Limit:
    """Make what the LRS asks before it serves a credential that has a limit."""
    broker = Redis.from_url(redis_url, socket_timeout=_WAIT_SECONDS, socket_connect_timeout=_WAIT_SECONDS)
    count = broker.register_script(_COUNT)
    asked_again_at = 0.0

    def seconds_to_wait(credential_id: int, requests_per_minute: int) -> float:
        nonlocal asked_again_at
        if time.monotonic() < asked_again_at:
            return 0
        try:
            return float(count(keys=[f"lrs-bridge:limit:{credential_id}"], args=[requests_per_minute]))
        except RedisError as error:
            # Rather too many statements than none: what is refused here may be lost for good.
            log.warning("The broker does not answer (%s); limits of requests are not held.", error)
            asked_again_at = time.monotonic() + _PAUSE_SECONDS
            return 0

    return seconds_to_wait
