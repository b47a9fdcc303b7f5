"""Dataverse: change tracking by links that it hands out, each good for seven days, with deletions as stubs."""

import re
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import responses
from helpdesk import Reply, iso
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, path, query

URL = "https://acme.crm4.dynamics.com/api/data/v9.2"
FILTER = re.compile(r"modifiedon ge (\S+) and modifiedon lt (\S+)")


class Dynamics(Cloud):
    """One environment. Changes are written down in the order in which they are committed, which is `shown_at`."""

    VENDOR = "dynamics"
    ACCOUNT: ClassVar[dict[str, Any]] = {
        "environment": "acme.crm4.dynamics.com",
        "tenant": "acme.onmicrosoft.com",
        "client_id": "00001111-aaaa-2222-bbbb-3333cccc4444",
        "client_secret": {"secret": "dynamics-secret"},
    }
    STREAM = "opportunities"
    ROUTES: ClassVar[list[tuple[str, Any]]] = [(responses.GET, re.compile(rf"{URL}/\w+"))]
    TOKEN_URL = "https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/token"
    NUMBER = NUMBER_PATH = "actualvalue"
    CUSTOM, CUSTOM_PATH = "new_region", None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.log: list[tuple[datetime, int, bool]] = []
        self.queries: list[dict[str, str]] = []

    def put(self, number: int, **kwargs: Any) -> None:
        super().put(number, **kwargs)
        self.log.append((self.records[number].shown_at, number, False))

    def delete(self, number: int, **kwargs: Any) -> None:
        super().delete(number, **kwargs)
        self.log.append((self.records[number].shown_at, number, True))

    def key(self, number: int) -> str:
        return f"00000000-0000-0000-0000-{number:012d}"

    def page(self, request: PreparedRequest) -> Reply:
        asked = query(request)
        self.queries.append(asked)
        if path(request).endswith(")"):
            record = self.named(path(request).rpartition("(")[2].removesuffix(")"))
            said = "Entity 'Opportunity' With Id = does not exist"
            return self.reply(self._row(record, asked)) if record else self._error("0x80040217", said, 404)
        if "$filter" in asked:
            return self._filtered(request, asked)
        assert "odata.track-changes" in request.headers["Prefer"]
        assert not {"$orderby", "$top", "$expand"} & set(asked), "not with change tracking"
        shown = sorted((entry for entry in self.log if entry[0] <= self.clock.at), key=lambda entry: entry[0])
        since, issued_at = _token(asked.get("$deltatoken"))
        if issued_at and self.clock.at - issued_at > timedelta(days=7):
            said = {"code": "0x80060888", "message": "Version stamp associated with the client has expired."}
            return self.reply({"error": said}, 400)
        upto = int(asked.get("$upto", len(shown)))
        changed = list(dict.fromkeys(number for _, number, _ in shown[since:upto]))
        begin, size = int(asked.get("$skiptoken", 0)), self.SIZE
        page = [self.records[number] for number in changed[begin : begin + size]]
        rows = [self._row(record, asked) for record in page if not record.deleted]
        if "$deltatoken" in asked:
            rows += [self._stub(record.number) for record in page if record.deleted]
        table = path(request).rpartition("/")[2]
        keep = {name: asked[name] for name in ("$select", "$deltatoken") if name in asked}
        more = {"@odata.deltaLink": _link(table, keep | {"$deltatoken": f"{upto}!{self.clock.at.isoformat()}"})}
        if begin + size < len(changed):
            more = {"@odata.nextLink": _link(table, keep | {"$skiptoken": str(begin + size), "$upto": str(upto)})}
        return self.reply({"@odata.context": f"{URL}/$metadata#{table}", "value": rows, **more})

    def _filtered(self, request: PreparedRequest, asked: dict[str, str]) -> Reply:
        found = FILTER.fullmatch(asked["$filter"])
        assert found
        assert asked["$orderby"].startswith("modifiedon asc,")
        rows = [self._row(one, asked) for one in self.visible() if found[1] <= iso(one.at) < found[2]]
        begin = int(asked.get("$skiptoken", 0))
        table = path(request).rpartition("/")[2]
        following = _link(table, asked | {"$skiptoken": str(begin + self.SIZE)})
        more = {"@odata.nextLink": following} if begin + self.SIZE < len(rows) else {}
        return self.reply({"value": rows[begin : begin + self.SIZE], **more})

    def _row(self, record: Record, asked: dict[str, str]) -> dict[str, Any]:
        names = asked["$select"].split(",")
        has: dict[str, Any] = {"actualvalue": 1000.0, "_ownerid_value": "ann", "statecode": 1} | record.values
        has |= {names[0]: self.key(record.number), "modifiedon": iso(record.at)}
        return {"@odata.etag": f'W/"{record.at.timestamp()}"', **{name: has.get(name) for name in names}}

    def _stub(self, number: int) -> dict[str, Any]:
        context = f"{URL}/$metadata#opportunities/$deletedEntity"
        return {"@odata.context": context, "id": self.key(number), "reason": "deleted"}

    def _error(self, code: str, message: str, status: int, **headers: str) -> Reply:
        return self.reply({"error": {"code": code, "message": message}}, status, **headers)

    def busy(self) -> tuple[Reply, float]:
        said = "Number of requests exceeded the limit of 6000 over time window of 300 seconds."
        return self._error("0x80072322", said, 429, **{"Retry-After": "15"}), 15

    def long_busy(self) -> tuple[Reply, float | None]:
        said = "Combined execution time of incoming requests exceeded limit of 1200000 milliseconds."
        return self._error("0x80072321", said, 429, **{"Retry-After": "300"}), 300

    def expired(self) -> Refusal:
        return Refusal(self._error("", "The token has expired.", 401), "The token has expired.")

    def forbidden(self) -> Refusal:
        said = "Principal user is missing prvReadOpportunity privilege on OTC=3 for entity 'opportunity'."
        return Refusal(self._error("0x80040220", said, 403), "prvReadOpportunity")


def _token(text: str | None) -> tuple[int, datetime | None]:
    if text is None:
        return 0, None
    number, _, issued_at = text.partition("!")
    return int(number), datetime.fromisoformat(issued_at)


def _link(table: str, asked: dict[str, str]) -> str:
    return f"{URL}/{table}?{urlencode(asked, quote_via=quote)}"
