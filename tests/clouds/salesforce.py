"""Salesforce: SOQL by queryAll, in an org whose permissions and requests of the day are used up."""

import re
from datetime import datetime
from typing import Any, ClassVar

import responses
from helpdesk import Reply
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, query

URL = "https://acme.my.salesforce.com"
SOQL = re.compile(
    r"SELECT (?P<fields>.+) FROM (?P<object>\w+) "
    r"WHERE (?P<stamp>\w+) >= (?P<low>\S+) AND (?P=stamp) < (?P<high>\S+) "
    r"AND \((?P=stamp) > (?P=low) OR Id > '(?P<id>\w{15,18})'\) ORDER BY (?P=stamp), Id LIMIT (?P<rows>\d+)"
)
STANDARD = {"OwnerId": "005A", "StageName": "Closed Won", "Amount": 1000.0, "IsClosed": True, "IsWon": True}


class Salesforce(Cloud):
    """One org."""

    VENDOR = "salesforce"
    ACCOUNT: ClassVar[dict[str, Any]] = {
        "domain": "acme",
        "client_id": "3MVG9",
        "client_secret": {"secret": "salesforce-secret"},
    }
    STREAM = "opportunities"
    ROUTES: ClassVar[list[tuple[str, str]]] = [(responses.GET, f"{URL}/services/data/v65.0/queryAll")]
    TOKEN_URL = f"{URL}/services/oauth2/token"
    NUMBER = NUMBER_PATH = "Amount"
    CUSTOM = CUSTOM_PATH = "Region__c"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.used = "api-usage=18/5000"
        self.hidden: set[str] = set()
        self.queries: list[re.Match[str]] = []

    def key(self, number: int) -> str:
        return f"006{number:012d}AAA"

    def page(self, request: PreparedRequest) -> Reply:
        asked = SOQL.fullmatch(query(request)["q"])
        if asked is None:
            return self._error("MALFORMED_QUERY", "unexpected token")
        self.queries.append(asked)
        names = asked["fields"].split(", ")
        if fault := self._fault(names, int(asked["rows"])):
            return fault
        low, high = asked["low"], asked["high"]
        rows = [self._row(record, names) for record in self.visible()]
        place = (_literal(asked["low"]), asked["id"])
        rows = [row for row in rows if _literal(low) <= _literal(row[asked["stamp"]]) < _literal(high)]
        rows = [row for row in rows if (_literal(row[asked["stamp"]]), row["Id"]) > place]
        rows = rows[: min(self.SIZE, int(asked["rows"]))]
        page = {"totalSize": len(rows), "done": True, "records": rows}
        return self.reply(page, **{"Sforce-Limit-Info": self.used})

    def _fault(self, names: list[str], rows: int) -> Reply | None:
        if len(names) != len(set(names)):
            return self._error("INVALID_FIELD", "duplicate field selected")
        if "FIELDS(CUSTOM)" in names and rows > 200:
            return self._error("MALFORMED_QUERY", "The SOQL FIELDS function must have a LIMIT of at most 200")
        for name in self.hidden & set(names):
            return self._error("INVALID_FIELD", f"No such column '{name}' on entity 'Opportunity'.")
        return None

    def _error(self, code: str, message: str, status: int = 400) -> Reply:
        return self.reply([{"message": message, "errorCode": code}], status)

    def _row(self, record: Record, names: list[str]) -> dict[str, Any]:
        stamp = f"{record.at:%Y-%m-%dT%H:%M:%S}.000+0000"
        has = {
            "Id": self.key(record.number),
            "IsDeleted": record.deleted,
            "SystemModstamp": stamp,
            "CreatedDate": stamp,
        }
        has |= STANDARD | record.values
        own = [name for name in has if name.endswith("__c")] if "FIELDS(CUSTOM)" in names else []
        asked = [name for name in names if name != "FIELDS(CUSTOM)"]
        link = f"/services/data/v65.0/sobjects/Opportunity/{has['Id']}"
        return {"attributes": {"type": "Opportunity", "url": link}, **{name: has.get(name) for name in [*asked, *own]}}

    def busy(self) -> tuple[Reply, float]:
        return self._error("SERVER_UNAVAILABLE", "Too many requests waiting", 503), 1

    def long_busy(self) -> tuple[Reply, float | None]:
        return self._error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", 403), 3600

    def expired(self) -> Refusal:
        return Refusal(
            self._error("INVALID_SESSION_ID", "Session expired or invalid", 401), "Session expired or invalid"
        )

    def forbidden(self) -> Refusal:
        reply = self._error("INVALID_TYPE", "sObject type 'Opportunity' is not supported.")
        return Refusal(reply, "let the integration user read the object")


def _literal(text: str) -> datetime:
    """Give a time of a query or of a row."""
    return datetime.fromisoformat(text)
