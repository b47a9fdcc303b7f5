"""Jira: searches by JQL that run behind the changes, in pages by tokens that are offsets in disguise.

Requests and answers are held against the vendor's contract.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import responses
from helpdesk import Reply
from openapi import Contract
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, body, path, query

URL = "https://acme.atlassian.net"
JQL = re.compile(r"project in \(SUP, OPS\) AND updated >= (\d+) ORDER BY updated ASC, key ASC")


class Jira(Cloud):
    """One site."""

    VENDOR = "jira"
    ACCOUNT: ClassVar[dict[str, Any]] = {
        "site": "acme",
        "email": "bot@example.com",
        "token": {"secret": "jira-token"},
        "projects": "SUP, OPS",
    }
    STREAM = "issues"
    ROUTES: ClassVar[list[tuple[str, Any]]] = [
        (responses.GET, f"{URL}/rest/api/3/search/jql"),
        (responses.GET, f"{URL}/rest/api/3/users/search"),
        (responses.GET, re.compile(rf"{URL}/rest/api/3/issue/\w+")),
        (responses.POST, f"{URL}/rest/api/3/changelog/bulkfetch"),
    ]
    NUMBER, NUMBER_PATH = "customfield_10040", "fields.customfield_10040"
    CUSTOM, CUSTOM_PATH = "customfield_10099", "fields.customfield_10099"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.contract = Contract("jira")
        self.changes: dict[str, int] = {}
        self.lows: list[int] = []

    def key(self, number: int) -> str:
        return str(10000 + number)

    def put(self, number: int, *, changes: int = 1, **kwargs: Any) -> None:
        super().put(number, **kwargs)
        self.changes[self.key(number)] = changes

    def answer(self, request: PreparedRequest) -> Reply:
        self.contract.check_request(_operation(request), request)
        return super().answer(request)

    def page(self, request: PreparedRequest) -> Reply:
        if "/issue/" in path(request):
            return self._one(request)
        ways = {"jql": self._search, "search": self._users, "bulkfetch": self._history}
        found = ways[path(request).rpartition("/")[2]](body(request) if request.body else query(request))
        self.contract.check_answer(path(request), request, found)
        return self.reply(found)

    def _search(self, asked: dict[str, str]) -> dict[str, Any]:
        found = JQL.fullmatch(asked["jql"])
        assert found, asked["jql"]
        self.lows.append(int(found[1]))
        low = datetime.fromtimestamp(int(found[1]) / 1000, UTC)
        rows = [self._issue(record) for record in self.visible() if record.at >= low and not record.deleted]
        begin = int(asked.get("nextPageToken", "T0")[1:])
        following = {} if begin + self.SIZE >= len(rows) else {"nextPageToken": f"T{begin + self.SIZE}"}
        return {"issues": rows[begin : begin + self.SIZE], **following}

    def _issue(self, record: Record) -> dict[str, Any]:
        return {
            "id": self.key(record.number),
            "key": f"SUP-{record.number}",
            "self": f"{URL}/rest/api/3/issue/{self.key(record.number)}",
            "expand": "operations",
            "fields": {
                "updated": written(record.at),
                "assignee": {"accountId": "5b10ac8d82e05b22cc7d4ef5", "displayName": "Ann"},
                "status": {"name": "Done"},
                # A service level of Jira Service Management, which is a field of the issue.
                "customfield_10030": {"completedCycles": [{"breached": True, "elapsedTime": {"millis": 5_400_000}}]},
                "customfield_10040": 4,
                **record.values,
            },
        }

    def _one(self, request: PreparedRequest) -> Reply:
        record = self.named(path(request).rpartition("/")[2])
        if record is None:
            said = "Issue does not exist or you do not have permission to see it."
            return self.reply({"errorMessages": [said], "errors": {}}, 404)
        self.contract.check_answer(_operation(request), request, self._issue(record))
        return self.reply(self._issue(record))

    def _history(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Give changes of all issues asked for, two a page, oldest first."""
        author = {"accountId": "5b10ac8d82e05b22cc7d4ef5", "displayName": "Ann", "emailAddress": "ann@example.com"}
        moved = {"field": "assignee", "fieldtype": "jira", "to": "5b10ac8d82e05b22cc7d4ef5"}
        change = {"author": author, "created": "2026-11-20T10:00:00.000-0500", "items": [moved]}
        rows = [(issue, str(place)) for issue in asked["issueIdsOrKeys"] for place in range(self.changes[issue])]
        begin = int(asked.get("nextPageToken", "H0")[1:])
        following = {} if begin + 2 >= len(rows) else {"nextPageToken": f"H{begin + 2}"}
        told = [
            {"issueId": issue, "changeHistories": [change | {"id": place}]} for issue, place in rows[begin : begin + 2]
        ]
        return {"issueChangeLogs": told, **following}

    def _users(self, asked: dict[str, str]) -> Any:
        people = [
            {"accountId": f"a{number}", "emailAddress": f"p{number}@example.com", "active": True} for number in range(5)
        ]
        begin = int(asked.get("startAt", 0))
        return people[begin : begin + 2]

    def busy(self) -> tuple[Reply, float]:
        headers = {"Retry-After": "5", "RateLimit-Reason": "jira-burst-based"}
        return self.reply({"message": "Rate limit exceeded"}, 429, **headers), 5

    def long_busy(self) -> tuple[Reply, float | None]:
        headers = {"Retry-After": "1800", "RateLimit-Reason": "jira-quota-tenant-based"}
        return self.reply({"message": "Rate limit exceeded"}, 429, **headers), 1800

    def expired(self) -> Refusal:
        said = "Client must be authenticated to access this resource."
        return Refusal(self.reply({"message": said, "status-code": 401}, 401), said)

    def forbidden(self) -> Refusal:
        reply = self.reply({"errorMessages": ["The value 'SUP' does not exist for the field 'project'."]}, 400)
        return Refusal(reply, "let the user browse the projects")


def written(at: datetime) -> str:
    """Write a time as Jira does: to the millisecond, in the zone of the account."""
    local = at.astimezone(UTC) - timedelta(hours=5)
    return local.strftime("%Y-%m-%dT%H:%M:%S.") + f"{local.microsecond // 1000:03d}-0500"


def _operation(request: PreparedRequest) -> str:
    """Give the path as the contract has it."""
    return re.sub(r"/issue/\w+$", "/issue/{issueIdOrKey}", path(request))
