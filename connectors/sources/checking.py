"""What `check` tries out on a stream, on about a page: what would go wrong in silence once pulls run by themselves."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from connectors import http
from connectors.errors import LoginRefused, SourceBroken, SourceError, SourceRefused, SourceUnavailable
from connectors.sources import calibration
from connectors.sources.authentications import Nobody
from connectors.sources.calls import Caller, source_time
from connectors.sources.columns import stamp_text
from connectors.sources.listing_checks import split
from connectors.sources.looking import Looker, Seen
from connectors.sources.paginators import Counted, Keyset
from connectors.sources.paths import Steps, find, shown
from connectors.sources.quota import Limits
from connectors.sources.rows import Finding, Page, RowProblem
from connectors.sources.runner import EVEN_SECONDS
from connectors.sources.streams import Stream

NAMES = (
    *("reachable", "login", "records", "clock", "keys", "cursor", "order", "timezone", "end"),
    *("pages", "permissions", "deletions", "quota"),
)
"""What is looked at, in this order."""
WEEK, QUARTER = timedelta(days=7), timedelta(days=91)
"""Recent records show best what the system gives today; where there are none, older ones are taken."""
OFF = timedelta(minutes=1)
"""Clocks that differ by more are told; times that are further to come than that are those of another zone."""
ENOUGH = 5
"""Of fewer records it says nothing that a field is empty in all."""
SHOWN_FIELDS = 12
_SIZES = frozenset(
    "count first limit maxresults pagesize perpage resultsperpage rows size sysparmlimit top".split()  # noqa: SIM905
)
"""Parameters, without signs and in small letters, that vendors name the size of a page by."""
_LEFT = re.compile(r"(x-)?rate-?limit.*remaining|sforce-limit-info", re.IGNORECASE)
"""Headers that vendors tell the requests left by."""

State = Literal["ok", "warning", "failed", "skipped"]


def check(stream: Stream, caller: Caller, name: str, zone_key: tuple[str, str] | None) -> Iterator[Finding]:
    """Give the findings in the order of NAMES; raises nothing that has to do with the system."""
    look = Looker(stream, caller, name, zone_key)
    try:
        seen = look.recent(WEEK, QUARTER)
    except SourceError as err:
        yield from _unreadable(look, err)
        return
    yield Finding("reachable", "ok", f"{http.shown(seen.answer.url)} answers.", "")
    who = "No login is declared, and none is asked for." if isinstance(caller.system.auth, Nobody) else "It is taken."
    yield Finding("login", "ok", who, "")
    tried = _Check(look, seen)
    yield tried.records()
    yield tried.clock()
    last: dict[str, Finding] = {}
    for one, try_it in tried.tries().items():
        last[one] = _tried(one, try_it, last)
        yield last[one]


def sample(stream: Stream, caller: Caller, name: str, limit: int) -> Page:
    """Give the newest rows of a page, with the problems on it; raises SourceError."""
    look = Looker(stream, caller, name)
    seen = look.recent(timedelta(days=1), WEEK, QUARTER, least=limit)
    usable, bad = [], []
    for record, read in zip(seen.records, look.reading(seen.records), strict=True):
        if isinstance(read, RowProblem):
            bad.append(read)
        else:
            usable.append((stamp_text(read[1]) if read[1] else "", record))
    usable.sort(key=lambda pair: pair[0], reverse=True)
    bad = bad[: max(1, limit // 5) if usable else limit]
    newest = look.detailed([record for _, record in usable[: limit - len(bad)]])
    rows, more = [], []
    for read in look.reading(newest):
        if isinstance(read, RowProblem):
            more.append(read)
        else:
            rows.append(read[0])
    return Page(tuple(rows), (*bad, *more), None)


def _tried(name: str, try_it: Callable[[Mapping[str, Finding]], Finding], before: Mapping[str, Finding]) -> Finding:
    try:
        return try_it(before)
    except SourceError as err:
        what, remedy = split(str(err))
        return Finding(name, "skipped", f"It could not be tried: {what}", remedy)


def _unreadable(look: Looker, err: SourceError) -> Iterator[Finding]:
    """Tell what the first request came to, and that nothing else was tried."""
    path = look.stream.request.path
    what, remedy = split(str(err))
    reached = Finding("reachable", "ok", f"{http.shown(look.caller.system.base_url)} answers.", "")
    login = Finding("login", "ok", "It is known there.", "")
    match err:
        case LoginRefused():
            found = [Finding("reachable", "skipped", "It is not called without a login.", "")]
            found.append(Finding("login", "failed", what, remedy))
        case SourceRefused(status=401):
            ask = "Ask the vendor's admin whether the API user is not locked, may use the API, and has this secret."
            found = [reached, Finding("login", "failed", str(err), ask)]
        case SourceRefused(status=403):
            ask = f"Ask the vendor's admin to let the API user read {path}: its role, scope or licence does not."
            found = [reached, login, Finding("permissions", "failed", str(err), ask)]
        case SourceUnavailable():
            later = "Try again later. If it goes on, check the address, the network and the proxy."
            found = [Finding("reachable", "failed", str(err), later)]
        case SourceRefused(status=None):
            found = [Finding("reachable", "failed", what, remedy)]
        case SourceRefused(status=404 | 410):
            ask = f"Correct `base_url` or the path {path}; some systems also hide so what the API user may not read."
            found = [reached, Finding("records", "failed", str(err), ask)]
        case SourceBroken():
            found = [reached, login, Finding("records", "failed", what, remedy)]
        case _:
            found = [reached, Finding("records", "failed", str(err), "Correct `request` by what the system says.")]
    told = {one.name: one for one in found}
    for name in NAMES:
        yield told.get(name) or Finding(name, "skipped", "It was not tried, since another thing failed.", "")


@dataclass(frozen=True, slots=True)
class _Check:
    """The trials on a page that has come."""

    look: Looker
    seen: Seen

    @property
    def _stream(self) -> Stream:
        return self.look.stream

    def tries(self) -> dict[str, Callable[[Mapping[str, Finding]], Finding]]:
        """Give what is tried after the first page has come, by name; each knows what was found before it."""
        return {
            "keys": self._keys,
            "cursor": self._cursor,
            "order": self._order,
            "timezone": self._timezone,
            "end": self._end,
            "pages": self._pages,
            "permissions": self._permissions,
            "deletions": self._deletions,
            "quota": self._quota,
        }

    def records(self) -> Finding:
        seen = self.seen
        where = shown(self._stream.records) or "the top of the answer"
        if not seen.records:
            text = f"There is no record yet in the list at {where}."
            return Finding("records", "skipped", text, "Check again when there is one; or whether a right is missing.")
        if not seen.problems:
            return Finding("records", "ok", f"All {len(seen.records)} of the first page can be used.", "")
        first = seen.problems[0]
        what, remedy = split(first.message)
        place = f"{first.column!r} of record {first.row}" if first.column else f"record {first.row}"
        state: State = "warning" if seen.rows else "failed"
        text = f"{len(seen.problems)} of {len(seen.records)} cannot be used. First, {place}: {what}"
        return Finding("records", state, text, remedy)

    def clock(self) -> Finding:
        theirs = source_time(self.seen.answer.headers)
        if theirs is None:
            text = "The system does not say what time it is (no Date header), so windows end by our clock."
            return Finding("clock", "warning", text, "Keep this machine's clock right by NTP, and `settle` generous.")
        skew = (theirs - self.look.caller.clock.now()).total_seconds()
        if abs(skew) < EVEN_SECONDS:
            return Finding("clock", "ok", "Its clock and ours agree to the second.", "")
        side = "ahead of" if skew > 0 else "behind"
        text = f"Its clock is {abs(skew):.0f} s {side} ours. Windows end by its clock, so nothing is lost by that."
        if abs(skew) < OFF.total_seconds():
            return Finding("clock", "ok", text, "")
        return Finding("clock", "warning", text, "Have the clock corrected that is wrong: see that NTP runs here.")

    def _keys(self, _before: Mapping[str, Finding]) -> Finding:
        rows, key = self.seen.rows, ", ".join(map(shown, self._stream.key))
        if not rows:
            return _no_record("keys")
        contents: dict[str, set[tuple[Any, bytes]]] = {}
        for row in rows:
            contents.setdefault(row.key, set()).add((row.cursor, row.content_hash))
        several = [name for name, found in contents.items() if len(found) > 1]
        if several:
            text = f"{len(several)} keys name several different records of the page, such as {several[0]!r}."
            return Finding("keys", "failed", text, f"Name in `key` what is different in each: {key} is not.")
        twice = len(rows) - len(contents)
        if twice:
            return Finding("keys", "ok", f"{key} names each record; {twice} came twice on the page.", "")
        return Finding("keys", "ok", f"{key} names each of the {len(rows)} records of the page.", "")

    def _cursor(self, _before: Mapping[str, Finding]) -> Finding:
        cursor, seen = self._stream.cursor, self.seen
        if cursor is None:
            return Finding("cursor", "skipped", "There is none: a record has changed when its content has.", "")
        if not seen.records:
            return _no_record("cursor")
        path = shown(cursor.path)
        if wrong := [one for one in seen.problems if one.column == path]:
            what, remedy = split(wrong[0].message)
            text = f"In {len(wrong)} of {len(seen.records)} records {path} cannot be read: {what}"
            return Finding("cursor", "failed", text, remedy)
        if not seen.times:
            return _no_record("cursor")
        ahead = max(seen.times) - self.look.present(self.seen)
        if ahead > OFF:
            text = f"The newest change is {ahead.total_seconds() / 3600:.1f} h to come, by the system's own clock."
            remedy = "These are local times: have them shown in UTC."
            if self.look.zone_key:
                block, key = self.look.zone_key
                remedy = f"These are local times: write their zone as `{key}` in `{block}`, or have them shown in UTC."
            return Finding("cursor", "failed", text, remedy)
        had, sent = _granularity(seen.times), calibration.unit(cursor.sent, seen.times[0])
        text = f"{path} can be read in all {len(seen.times)} records, to the {calibration.written(had)}"
        if isinstance(self._stream.page, Keyset) and sent > had:
            text += f", but is sent to the {calibration.written(sent)}, so pages would go in circles."
            return Finding("cursor", "failed", text, "Send it as finely, such as `send: iso_ms`.")
        return Finding("cursor", "ok", f"{text}; it is sent to the {calibration.written(sent)}.", "")

    def _order(self, _before: Mapping[str, Finding]) -> Finding:
        cursor, times = self._stream.cursor, self.seen.times
        if cursor is None:
            return Finding("order", "skipped", "Without a cursor there is none.", "")
        if len(set(times)) < 2:
            return Finding("order", "skipped", "There are not two times on the page to compare.", "")
        if self._stream.page.common.keeps:
            return Finding("order", "skipped", "The system keeps itself what we have had, in an order of its own.", "")
        if isinstance(self._stream.page, Keyset) and self._stream.page.by_id:
            return self._order_of_ids()
        at = next((place for place in range(1, len(times)) if times[place] < times[place - 1]), None)
        if at is None and cursor.ordered:
            return Finding("order", "ok", f"All {len(times)} records come oldest change first.", "")
        if at is None:
            text = "They come oldest change first, though the document does not say so."
            return Finding("order", "ok", f"{text} If the vendor promises it, write `ordered: true`.", "")
        if not cursor.ordered:
            return Finding("order", "ok", "They come in no order, as the document says.", "")
        text = (
            f"Record {at + 1} changed at {times[at]:%Y-%m-%d %H:%M:%S}, before record {at} ({times[at - 1]:%H:%M:%S})."
        )
        newest_first = times == sorted(times, reverse=True)
        remedy = "Ask for the oldest first" if newest_first else "Have them sorted by the cursor"
        return Finding("order", "failed", text, f"{remedy}, or take `ordered: true` out.")

    def _order_of_ids(self) -> Finding:
        """See whether ids go up, as numbers where they are some: what goes on after the last one rests on it."""
        found = [find(one, self._stream.key[0]) for one in self.seen.records]
        ids = [str(one) for one in found if isinstance(one, (str, int))]
        ranks = [(int(one), "") if all(map(str.isdigit, ids)) else (0, one) for one in ids]
        if ranks == sorted(ranks):
            return Finding("order", "ok", f"All {len(ids)} records come in the order of their ids.", "")
        text = f"Records do not come in the order of their ids: {', '.join(ids[:5])}."
        return Finding("order", "failed", text, "Have them sorted by id, or take `by: id` out.")

    def _timezone(self, _before: Mapping[str, Finding]) -> Finding:
        cursor = self.look.cursor
        if cursor is None:
            return Finding("timezone", "skipped", "The stream is not asked for by time.", "")
        if self._stream.page.common.keeps:
            return Finding("timezone", "skipped", "The system keeps itself what we have had; only a start is sent.", "")
        if not self.seen.times:
            return _no_record("timezone")
        return calibration.calibrate(self.look, cursor, self.seen)

    def _end(self, before: Mapping[str, Finding]) -> Finding:
        cursor = self.look.cursor
        if cursor is None or "high" not in self._stream.request.slots:
            return Finding("end", "skipped", "The stream is asked for without an end.", "")
        if before["timezone"].state == "failed":
            return Finding("end", "skipped", "It says nothing before times are taken for what they are.", "")
        times = sorted(self.seen.times)
        if not times or times[-1] - times[0] <= 2 * OFF:
            return Finding("end", "skipped", "There are not two times on the page to ask between.", "")
        high = times[0] + OFF
        later = [at for at in self.look.page(times[0], high).times if at > high + OFF]
        if later:
            text = f"{len(later)} records come that changed after the end that was asked for."
            remedy = "The system does not heed the parameter with {high}: correct its name or its format."
            return Finding("end", "failed", text, remedy)
        return Finding("end", "ok", "No record comes that changed after the end that is asked for.", "")

    def _pages(self, _before: Mapping[str, Finding]) -> Finding:
        page, count = self._stream.page, len(self.seen.records)
        asked = page.short_is_last if isinstance(page, Counted) else None
        asked = asked or _asked_size(self._stream)
        if not count:
            return _no_record("pages")
        if isinstance(page, Keyset) or self.seen.next is None:
            return Finding("pages", "ok", f"A page of {count} came{_of(asked)}.", "")
        second = self.look.page(self.seen.low, position=self.seen.next)
        keys = {row.key for row in self.seen.rows}
        if second.rows and {row.key for row in second.rows} <= keys and count > 1:
            text = f"The second page has no record that the first of {count} had not."
            return Finding("pages", "failed", text, "The system does not heed how we page: correct `page`.")
        if not second.records or asked is None or count >= asked:
            text = f"A page of {count} came{_of(asked)}, and one of {len(second.records)} after it."
            return Finding("pages", "ok", text, "")
        text = f"A page of {count} came{_of(asked)}, though there are more."
        if isinstance(page, Counted) and page.short_is_last and count < page.short_is_last:
            remedy = (
                f"Pulls would end there. Ask for {count} a page and write `short_is_last: {count}`, or take it out."
            )
            return Finding("pages", "failed", text, remedy)
        remedy = (
            f"The system gives at most {count}, or hides records from the API user: ask for {count}, and see again."
        )
        return Finding("pages", "warning", text, remedy)

    def _permissions(self, _before: Mapping[str, Finding]) -> Finding:
        if not self.seen.records:
            return _no_record("permissions")
        records = [one for one in self.look.detailed(self.seen.records[:100]) if isinstance(one, dict)]
        lacking = [(shown(steps), sum(find(one, steps) is None for one in records)) for steps in self._stream.require]
        lacking = [(name, number) for name, number in lacking if number]
        if lacking:
            told = ", ".join(f"{name} ({number} of {len(records)})" for name, number in lacking)
            state: State = "failed" if any(number == len(records) for _, number in lacking) else "warning"
            return Finding("permissions", state, f"Required, but not in all records: {told}.", _ask_for(lacking[0][0]))
        hidden = _hidden(self._stream, records)
        if hidden:
            names = ", ".join(hidden[:SHOWN_FIELDS]) + (", ..." if len(hidden) > SHOWN_FIELDS else "")
            text = f"Not one of {len(records)} records has a value in {names}."
            return Finding("permissions", "warning", text, _ask_for(hidden[0]))
        there = f"{len(self._stream.require)} required fields are" if self._stream.require else "Fields are"
        return Finding("permissions", "ok", f"{there} filled in the {len(records)} records looked at.", "")

    def _deletions(self, _before: Mapping[str, Finding]) -> Finding:
        stream = self._stream
        if stream.feed is not None:
            return self._feed(stream.feed)
        if stream.listing is not None:
            return self._feed(stream.listing)
        if stream.sweep is not None:
            return Finding("deletions", "ok", "What a full read does not name any more counts as deleted.", "")
        if stream.deleted is None or not stream.deleted.values:
            return Finding("deletions", "skipped", "Nothing is declared that tells of them.", "")
        path, records = shown(stream.deleted.path), self.seen.records
        if not records:
            return _no_record("deletions")
        having = sum(find(one, stream.deleted.path) is not None for one in records)
        if stream.deleted.key and not having:
            text = "Deleted records come as stubs, once we have asked before; there is none on the page."
            return Finding("deletions", "skipped", text, "")
        deleted = sum(row.deleted for row in self.seen.rows)
        if not having:
            text = f"No record of the page has {path}, so none would ever count as deleted."
            return Finding("deletions", "warning", text, "Correct `deleted`, or ask for a field that says so.")
        return Finding("deletions", "ok", f"{having} of {len(records)} records have {path}; {deleted} are deleted.", "")

    def _feed(self, feed: Stream) -> Finding:
        try:
            seen = Looker(feed, self.look.caller, self.look.name).recent(WEEK)
        except SourceRefused as err:
            ask = (
                f"Ask the vendor's admin to let the API user read {feed.request.path}: often that is an admin's right."
            )
            return Finding("deletions", "failed", str(err), ask)
        if seen.problems and not seen.rows:
            what, remedy = split(seen.problems[0].message)
            return Finding("deletions", "failed", f"No entry of the list can be used: {what}", remedy)
        return Finding("deletions", "ok", f"The list answers; its first page has {len(seen.records)} entries.", "")

    def _quota(self, _before: Mapping[str, Finding]) -> Finding:
        limits, headers = self.look.caller.system.limits, self.seen.answer.headers
        told = next((f"{name}: {value}" for name, value in headers.items() if _LEFT.fullmatch(name)), None)
        named = [name for name in (limits.remaining, limits.used) if name]
        if named and not any(name in headers for name in named):
            remedy = "Correct the name of the header" + (f": there is {told}." if told else ", or take it out.")
            return Finding("quota", "warning", f"No answer has the header {named[0]}.", remedy)
        if named:
            heard = next(f"{name}: {headers[name]}" for name in named if name in headers)
            return Finding("quota", "ok", f"The system says what is left ({heard}).", "")
        if limits == Limits():
            text = "The document says nothing of how many requests may be made."
            if told:
                return Finding("quota", "warning", text, f"The system tells what is left: name it in `quota` ({told}).")
            return Finding("quota", "skipped", f"{text} Where it is too many, the system will say so.", "")
        if limits.requests is None:
            return Finding("quota", "skipped", "Where it is too many, the system says so, and when there are more.", "")
        return Finding("quota", "ok", f"Counted by us: {limits.requests} in {limits.per}.", "")


def _no_record(name: str) -> Finding:
    return Finding(name, "skipped", "There is no record yet to see it by.", "")


def _granularity(times: list[datetime]) -> timedelta:
    """Give the unit that all the times are whole in."""
    units = [timedelta(**{unit: 1}) for unit in ("days", "hours", "minutes", "seconds", "milliseconds")]
    return next((one for one in units if all(calibration.floor(at, one) == at for at in times)), timedelta.resolution)


def _asked_size(stream: Stream) -> int | None:
    """Give the size of page that the request names, where it names one as most vendors do."""
    for parameters in (stream.request.params, stream.request.body or {}):
        for name, value in parameters.items():
            if re.sub("[^a-z]", "", name.lower()) in _SIZES and str(value).isdigit() and int(value) > 1:
                return int(value)
    return None


def _of(asked: int | None) -> str:
    return f", of {asked} asked for" if asked else ""


def _ask_for(field: str) -> str:
    ask = "If they are in use there, ask the vendor's admin to let the API user read them"
    return f"{ask} (field-level security, scopes or access rules hide fields such as {field} without a word)."


def _hidden(stream: Stream, records: list[dict[str, Any]]) -> list[str]:
    """Name the fields that no record has a value in, and those asked for by name that no record has."""
    if len(records) < ENOUGH:
        return []
    filled: Counter[Steps] = Counter()
    for record in records:
        for steps, value in _fields(record):
            filled[steps] += value is not None and value != ""
    empty = [shown(steps) for steps, number in filled.items() if not number and steps not in stream.omit]
    there = {step for steps in filled for step in steps}
    missing = [name for name in _asked_fields(stream) if name.split(".")[0] not in there]
    return list(dict.fromkeys(missing + empty))


def _fields(record: dict[str, Any]) -> Iterator[tuple[Steps, Any]]:
    for name, value in record.items():
        yield (name,), value
        if isinstance(value, dict):
            for inner, deeper in value.items():
                yield (name, inner), deeper


def _asked_fields(stream: Stream) -> Iterator[str]:
    """Name the fields that the request lists, where it does: `fields=a,b`, `$select=a,b`, `properties: [a]`."""
    for parameters in (stream.request.params, stream.request.body or {}):
        for name, value in parameters.items():
            if not re.search("field|select|property|properties", name.lower()):
                continue
            names = value.split(",") if isinstance(value, str) else value
            if isinstance(names, list):
                yield from (one for one in names if isinstance(one, str) and re.fullmatch(r"[A-Za-z_][\w.]*", one))
