"""ServiceNow: tables whose pages are cut first, and then what the user may not see is taken out of them."""

import re
from typing import Any, ClassVar
from urllib.parse import urlencode

import responses
from helpdesk import Reply
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, path, query

URL = "https://acme.service-now.com/api/now/table"
QUERY = re.compile(
    r"(?P<more>.*\^)?(?P<stamp>sys_\w+_on)>=(?P<low>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\^ORDERBY(?P=stamp)\^ORDERBYsys_id"
)


class ServiceNow(Cloud):
    """One instance."""

    VENDOR = "servicenow"
    ACCOUNT: ClassVar[dict[str, Any]] = {
        "instance": "acme",
        "user": "bot",
        "password": {"secret": "servicenow-password"},
    }
    STREAM = "incidents"
    ROUTES: ClassVar[list[tuple[str, Any]]] = [(responses.GET, re.compile(rf"{URL}/\w+"))]
    NUMBER = NUMBER_PATH = "reopen_count"
    CUSTOM = CUSTOM_PATH = "u_region"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.hidden: set[str] = set()
        self.lows: list[str] = []
        self.paths: list[str] = []
        self.queries: list[dict[str, str]] = []

    def key(self, number: int) -> str:
        return f"a{number:04d}"

    def page(self, request: PreparedRequest) -> Reply:
        asked = query(request)
        self.paths.append(path(request))
        self.queries.append(asked)
        if "sysparm_query" not in asked:
            record = self.named(path(request).rpartition("/")[2])
            missing = {"error": {"message": "No Record found"}, "status": "failure"}
            return self.reply({"result": self._row(record)} if record else missing, 200 if record else 404)
        found = QUERY.fullmatch(asked["sysparm_query"])
        assert found, asked
        assert (asked["sysparm_display_value"], asked["sysparm_exclude_reference_link"]) == ("false", "true")
        if path(request).endswith("/sys_audit_delete"):
            rows = [self._deletion(record) for record in self.visible() if record.deleted]
            return self._page([row for row in rows if row["sys_created_on"] >= found["low"]], asked, path(request))
        self.lows.append(found["low"])
        rows = [self._row(record) for record in self.visible() if not record.deleted]
        return self._page([row for row in rows if row["sys_updated_on"] >= found["low"]], asked, path(request))

    def _page(self, rows: list[dict[str, Any]], asked: dict[str, str], where: str) -> Reply:
        begin = int(asked.get("sysparm_offset", 0))
        page = [row for row in rows[begin : begin + self.SIZE] if row.get("sys_id") not in self.hidden]
        headers = {"X-Total-Count": str(len(rows))}
        if begin + self.SIZE < len(rows):
            address = f"https://acme.service-now.com{where}?"
            following = address + urlencode(asked | {"sysparm_offset": begin + self.SIZE})
            headers["Link"] = f'<{address}sysparm_offset=0>;rel="first",<{following}>;rel="next"'
        return self.reply({"result": page}, **headers)

    def _row(self, record: Record) -> dict[str, Any]:
        return {
            "sys_id": self.key(record.number),
            "number": f"INC{record.number}",
            "sys_created_on": f"{record.at:%Y-%m-%d %H:%M:%S}",
            "sys_updated_on": f"{record.at:%Y-%m-%d %H:%M:%S}",
            "assigned_to": "ann",
            "made_sla": "true",
            "reopen_count": "0",
            "work_notes": "The customer said",
            **record.values,
        }

    def _deletion(self, record: Record) -> dict[str, Any]:
        at = f"{record.at:%Y-%m-%d %H:%M:%S}"
        return {"documentkey": self.key(record.number), "tablename": "incident", "sys_created_on": at}

    def busy(self) -> tuple[Reply, float]:
        return self.reply({"error": {"message": "Rate limit exceeded"}}, 429, **{"Retry-After": "30"}), 30

    def long_busy(self) -> tuple[Reply, float | None]:
        return self.reply({"error": {"message": "Rate limit exceeded"}}, 429, **{"Retry-After": "3600"}), 3600

    def expired(self) -> Refusal:
        said = "User Not Authenticated"
        return Refusal(self.reply({"error": {"message": said}, "status": "failure"}, 401), said)

    def forbidden(self) -> Refusal:
        said = "User Not Authorized"
        return Refusal(self.reply({"error": {"message": said}, "status": "failure"}, 403), said)
