"""Quotas of others' systems, counted in the broker that all workers share.

Requests are counted in slots of a sixtieth of the window. A slot counts until all of it is older than the window, so no
window, wherever it begins, holds more requests than allowed; a bucket that refills would let twice as many through.
By the broker's clock, so that hosts' clocks and their number do not matter; one round trip a request.

Without the broker each process counts for itself, which is what one pull alone can know: the system's own answers
then hold us back.
"""

import logging
import time
from collections import deque
from dataclasses import dataclass, field

from redis import Redis, RedisError

log = logging.getLogger(__name__)

SLOTS = 60
PAUSE_SECONDS = 5.0
"""So long a broker that did not answer is not asked again."""
SHORTEST_WAIT_SECONDS = 0.001

_TAKE = """
local held = redis.call('PTTL', KEYS[2])
if held > 0 then
    return string.format('%.3f', held / 1000)
end
local most, per, ours = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local width = per / tonumber(ARGV[4])
local slot = math.floor(now / width)
local oldest = slot - tonumber(ARGV[4])
local all, shared, slots = 0, 0, {}
local found = redis.call('HGETALL', KEYS[1])
for place = 1, #found, 2 do
    local of, number = string.match(found[place], '(.)(%d+)')
    local count = tonumber(found[place + 1])
    number = tonumber(number)
    if number < oldest then
        redis.call('HDEL', KEYS[1], found[place])
    elseif of == 'a' then
        all = all + count
        slots[#slots + 1] = {number, count, 0}
    else
        shared = shared + count
        slots[#slots + 1] = {number, 0, count}
    end
end
local function full()
    return all >= most or (ours < most and shared >= ours)
end
if not full() then
    redis.call('HINCRBY', KEYS[1], string.format('a%d', slot), 1)
    if ours < most then
        redis.call('HINCRBY', KEYS[1], string.format('s%d', slot), 1)
    end
    redis.call('PEXPIRE', KEYS[1], math.ceil((per + 2 * width) * 1000))
    return '0'
end
table.sort(slots, function(one, other) return one[1] < other[1] end)
for _, one in ipairs(slots) do
    all, shared = all - one[2], shared - one[3]
    if not full() then
        return string.format('%.6f', math.max((one[1] + tonumber(ARGV[4]) + 1) * width - now, 0.001))
    end
end
return string.format('%.6f', per)
"""

_HOLD = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return 1
"""


class Buckets:
    """`connectors.reach.Buckets` on a broker; made once a pull."""

    def __init__(self, broker: Redis) -> None:
        self._broker = broker
        self._take, self._hold = broker.register_script(_TAKE), broker.register_script(_HOLD)
        self._alone = _Alone()
        self._asked_again_at = 0.0
        self._told = False

    def take(self, account: str, *, requests: int, per_seconds: float, share: float = 1.0) -> float:
        """Take one of `requests` in any `per_seconds`; gives 0.0, or the seconds to wait before asking again.

        All lanes with a share below 1 take from the same share, and one request of it there always is.
        """
        ours = requests if share >= 1 else max(1, int(requests * share))
        if self._answers:
            keys = [f"{_name(account)}:{per_seconds:g}", f"{_name(account)}:held"]
            try:
                return float(self._take(keys=keys, args=[requests, per_seconds, ours, SLOTS]))
            except RedisError as error:
                self._note(error)
        return self._alone.take(account, most=ours, per_seconds=per_seconds)

    def hold(self, account: str, seconds: float) -> None:
        """Let nobody have one for so long; a longer hold stays."""
        if seconds <= 0:
            return
        self._alone.hold(account, seconds)
        if self._answers:
            try:
                self._hold(keys=[f"{_name(account)}:held"], args=[max(1, int(seconds * 1000))])
            except RedisError as error:
                self._note(error)

    def held(self, account: str) -> float:
        """Give the seconds until requests are made again; 0.0 is now."""
        if self._answers:
            try:
                return max(0.0, int(self._broker.pttl(f"{_name(account)}:held")) / 1000)
            except RedisError as error:
                self._note(error)
        return self._alone.held(account)

    @property
    def _answers(self) -> bool:
        return time.monotonic() >= self._asked_again_at

    def _note(self, error: RedisError) -> None:
        """Go on alone for a while: a quota is no reason to leave records where they are."""
        if not self._told:
            log.warning("The broker does not answer (%s); quotas are counted by each process for itself.", error)
            self._told = True
        self._asked_again_at = time.monotonic() + PAUSE_SECONDS


@dataclass(slots=True)
class _Alone:
    """The same for one process."""

    made: dict[str, deque[float]] = field(default_factory=dict)
    until: dict[str, float] = field(default_factory=dict)

    def take(self, account: str, *, most: int, per_seconds: float) -> float:
        if held := self.held(account):
            return held
        now, made = time.monotonic(), self.made.setdefault(account, deque())
        while made and made[0] <= now - per_seconds:
            made.popleft()
        if len(made) >= most:
            return max(made[0] + per_seconds - now, SHORTEST_WAIT_SECONDS)
        made.append(now)
        return 0.0

    def hold(self, account: str, seconds: float) -> None:
        self.until[account] = max(self.until.get(account, 0.0), time.monotonic() + seconds)

    def held(self, account: str) -> float:
        return max(0.0, self.until.get(account, 0.0) - time.monotonic())


def _name(account: str) -> str:
    return f"lrs-bridge:quota:{account}"
