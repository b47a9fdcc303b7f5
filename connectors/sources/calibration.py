"""Whether a system takes the times that we filter by for what they are: absolute, or in some user's time zone.

Jira, Request Tracker and Roundup read them in the zone of the API user, whatever is appended to them; a user in New
York then misses changes silently, one in Tokyo is given nine hours too many. It is found out by asking: a record that
changed at T must come when we ask from T on, and must not when we ask from one unit later. If it is otherwise, the time
at which it ceases to come says by how much the zone is off.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from connectors.sources.codecs import Codec
from connectors.sources.looking import Looker, Seen
from connectors.sources.rows import Finding
from connectors.sources.streams import Cursor

STEP = timedelta(minutes=15)
"""All zones in use differ from UTC by a multiple of it (IANA time zone database)."""
STEPS = 57
"""More than 14 hours, by which none differs."""
SETTLED = timedelta(hours=15)
"""A record that old can be asked for by times that are all past; some systems refuse those to come."""
_UNITS = tuple(
    timedelta(**unit)
    for unit in ({"microseconds": 1}, {"milliseconds": 1}, {"seconds": 1}, {"minutes": 1}, {"hours": 1}, {"days": 1})
)
_KNOWN = (
    *("Europe/London", "Europe/Berlin", "Europe/Athens", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo"),
    *("Australia/Sydney", "Pacific/Auckland", "America/New_York", "America/Chicago", "America/Denver"),
    *("America/Los_Angeles", "America/Sao_Paulo"),
)
"""Zones that are named as examples of an offset."""


def unit(codec: Codec, at: datetime) -> timedelta:
    """Give the least difference that the codec can write, around a time."""
    base = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return next((one for one in _UNITS if codec.write(base) != codec.write(base + one)), _UNITS[-1])


def written(length: timedelta) -> str:
    """Write a unit as people say it."""
    names = ("microsecond", "millisecond", "second", "minute", "hour", "day")
    return dict(zip(_UNITS, names, strict=True)).get(length, str(length))


def floor(at: datetime, to: timedelta) -> datetime:
    """Cut a time down to a unit."""
    base = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return base + (at - base) // to * to


class UnclearError(Exception):
    """The page that would tell is not the whole answer."""


@dataclass(slots=True)
class Calibration:
    """The trial by one record."""

    look: Looker
    cursor: Cursor
    at: datetime
    """When it changed."""
    asked: int = field(default=0)

    @property
    def unit(self) -> timedelta:
        """The least difference between two times that can be asked for."""
        return unit(self.cursor.sent, self.at)

    @property
    def base(self) -> datetime:
        """The latest time that can be asked for and is not after the record's."""
        return floor(self.at, self.unit)

    def is_certain(self) -> bool:
        """Whether the time can be asked for: in the hour that comes twice, an earlier one is sent."""
        return self.cursor.sent.read(self.cursor.sent.write(self.base)) == self.base

    def finding(self) -> Finding:
        """Find out; raises SourceError."""
        try:
            comes = self._comes(self.base)
            comes_later = comes and self._comes(self.base + self.unit)
            if comes and not comes_later:
                text = f"A record that changed at {_told(self.at)} comes when asked from then on, and not from one "
                return Finding("timezone", "ok", f"{text}{written(self.unit)} later.", "")
            if self.unit > STEP:
                text = f"Times are sent by the {written(self.unit)}, which is too coarse to see a time zone by."
                return Finding("timezone", "warning", text, "Send them more finely, if the system takes them (`send`).")
            return self._beyond() if comes_later else self._before()
        except UnclearError:
            text = "Whether a record comes cannot be told, as the first page is not the whole answer."
            return Finding("timezone", "skipped", text, _SORT)

    def _beyond(self) -> Finding:
        """Tell why the record comes though it changed before the time that is asked from."""
        if self._comes(self._step(STEPS)):
            text = f"Records come that changed {_hours(STEPS)} before the time that is asked from."
            remedy = "The system does not heed the parameter with {low}: correct its name or its format (`send`)."
            return Finding("timezone", "failed", text, remedy)
        steps = self._last_step(0, STEPS)
        if steps == 0:
            text = "Records come that changed up to a few minutes before the time that is asked from: a coarse filter."
            return Finding("timezone", "ok", text, "")
        return self._zone(steps)

    def _before(self) -> Finding:
        """Tell why the record does not come though it changed at the very time that is asked from."""
        if self._comes(self.base - self.unit):
            text = "The system leaves out what changed at the very time that is asked from."
            remedy = f"Write `exclusive: {_length(self.unit)}` in `cursor`, else changes at one time may be lost."
            return Finding("timezone", "failed", text, remedy)
        if not self._comes(self._step(-STEPS)):
            text = f"A record that changed at {_told(self.at)} does not come again, asked from then or from before."
            remedy = "Check that {low} filters by the field of the cursor."
            return Finding("timezone", "warning", text, remedy)
        return self._zone(self._last_step(-STEPS, 0))

    def _last_step(self, comes: int, comes_not: int) -> int:
        """Give the last step with which the record comes, by halving."""
        while comes_not - comes > 1:
            middle = (comes + comes_not) // 2
            if self._comes(self._step(middle)):
                comes = middle
            else:
                comes_not = middle
        return comes

    def _zone(self, steps: int) -> Finding:
        if self._comes(self._step(steps) + max(self.unit, timedelta(minutes=1))):
            text = f"Records come up to {_hours(steps + 1)} after the time of their change: {{low}} filters by another."
            remedy = "Take the field that the filter goes by as `cursor`."
            return Finding("timezone", "warning", text, remedy)
        offset = steps * STEP
        side, cost = ("ahead of", "too many records come") if steps > 0 else ("behind", "changes are silently missed")
        text = f"The API user's time zone is {_hours(steps)} {side} {self._reference()}, so {cost}."
        return Finding("timezone", "failed", text, f"Set the user's time zone to UTC{self._local(offset)}.")

    def _reference(self) -> str:
        return "UTC" if self._is_utc() else "the `timezone` that is declared"

    def _is_utc(self) -> bool:
        sent = self.cursor.sent.write(self.base)
        return not isinstance(sent, str) or self.base.strftime("%H:%M") in sent or self.unit >= timedelta(days=1)

    def _local(self, offset: timedelta) -> str:
        """Say how to write the zone into the document, where it has a place for it."""
        if self.look.zone_key is None:
            return ""
        block, key = self.look.zone_key
        near = next((name for name in _KNOWN if self.at.astimezone(ZoneInfo(name)).utcoffset() == offset), None)
        zone = f"`{key}: {near}`" if near and self._is_utc() else f"its zone as `{key}`"
        sent = self.cursor.sent.write(self.base)
        if not isinstance(sent, str) or sent.endswith("Z"):
            zone += ' and `send: "%Y-%m-%d %H:%M:%S"`'
        return f", or write {zone} in `{block}` (an example: take the user's own)"

    def _step(self, steps: int) -> datetime:
        return self.base + steps * STEP

    def _comes(self, low: datetime) -> bool:
        """Tell whether the record comes when asked from a time on; any that is older shows it as well."""
        self.asked += 1
        seen = self.look.page(low)
        if any(at <= self.at for at in seen.times):
            return True
        if seen.next is not None and not self.cursor.ordered:
            raise UnclearError
        return False


_SORT = "Have the answers sorted by the cursor, oldest first, and write `ordered: true`."


def calibrate(look: Looker, cursor: Cursor, seen: Seen) -> Finding:
    """Try a record of a page; raises SourceError."""
    tried = [one for one in (Calibration(look, cursor, at) for at in seen.times) if one.is_certain()]
    if not tried:
        return Finding("timezone", "skipped", "All of the page changed while clocks were set back.", "")
    settled = [one for one in tried if one.at <= look.present(seen) - SETTLED]
    return max(settled or tried, key=lambda one: one.at).finding()


def _told(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _hours(steps: int) -> str:
    hours = abs(steps) * STEP / timedelta(hours=1)
    return f"{hours:g} hour{'' if hours == 1 else 's'}"


def _length(length: timedelta) -> str:
    """Write a unit as documents do."""
    seconds = length.total_seconds()
    names = {60: "1m", 3600: "1h", 86400: "1d"}
    return names.get(int(seconds), "1s")
