"""Intercom: searches by seconds, with `>` alone, sorted when asked to, in pages by an opaque cursor.

Requests and answers are held against the vendor's contract, but for answers that are to break it.
"""

import re
from typing import Any, ClassVar

import responses
from helpdesk import Reply
from openapi import Contract
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, body, path

URL = "https://api.eu.intercom.io"


class Intercom(Cloud):
    """One workspace."""

    VENDOR = "intercom"
    ACCOUNT: ClassVar[dict[str, Any]] = {"region": "api.eu", "token": {"secret": "intercom-token"}}
    STREAM = "conversations"
    ROUTES: ClassVar[list[tuple[str, Any]]] = [
        (responses.POST, f"{URL}/conversations/search"),
        (responses.POST, f"{URL}/tickets/search"),
        (responses.GET, re.compile(rf"{URL}/conversations/\d+")),
        (responses.GET, f"{URL}/admins"),
    ]
    NUMBER = NUMBER_PATH = "admin_assignee_id"
    CUSTOM, CUSTOM_PATH = "Region", "custom_attributes.Region"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.contract = Contract("intercom")
        self.breaks_contract = False
        self.queries: list[dict[str, Any]] = []

    def answer(self, request: PreparedRequest) -> Reply:
        self.contract.check_request(_operation(request), request)
        return super().answer(request)

    def page(self, request: PreparedRequest) -> Reply:
        if _operation(request) != path(request):
            return self._one(request)
        found = getattr(self, "_" + path(request).split("/")[1])(body(request))
        if not self.breaks_contract:
            self.contract.check_answer(path(request), request, found)
        return self.reply(found, **{"X-RateLimit-Remaining": "160"})

    def _one(self, request: PreparedRequest) -> Reply:
        record = self.named(path(request).rpartition("/")[2])
        if record is None:
            return self._error("not_found", "Resource Not Found", 404)
        self.contract.check_answer(_operation(request), request, self._conversation(record))
        return self.reply(self._conversation(record))

    def _search(self, name: str, asked: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any]:
        self.queries.append(asked)
        (condition,) = asked["query"]["value"]
        assert condition["operator"] in ("=", "<", ">")  # dates know no others
        assert asked["sort"] == {"field": "updated_at", "order": "ascending"}
        rows = [row for row in rows if row["updated_at"] > condition["value"]]
        begin = int(asked["pagination"].get("starting_after", "WzA").removeprefix("Wz").replace("A", "0"))
        last = begin + self.SIZE >= len(rows)
        following = None if last else {"per_page": self.SIZE, "starting_after": f"Wz{begin + self.SIZE}"}
        pages = {"type": "pages", "page": 1, "per_page": self.SIZE, "next": following}
        kind = name.removesuffix("s")
        return {"type": f"{kind}.list", name: rows[begin : begin + self.SIZE], "total_count": len(rows), "pages": pages}

    def _conversations(self, asked: dict[str, Any]) -> dict[str, Any]:
        rows = [self._conversation(record) for record in self.visible() if not record.deleted]
        return self._search("conversations", asked, rows)

    def _conversation(self, record: Record) -> dict[str, Any]:
        own = {name: value for name, value in record.values.items() if name[0].isupper()}
        top = {name: value for name, value in record.values.items() if name not in own}
        return {
            "type": "conversation",
            "id": str(record.number),
            "created_at": 1795000000,
            "updated_at": int(record.at.timestamp()),
            "open": False,
            "state": "closed",
            "admin_assignee_id": 814860,
            "custom_attributes": own,
            "source": {"type": "conversation", "id": "1", "body": "<p>My card number is</p>"},
            "conversation_rating": {"rating": 4, "teammate": {"type": "admin", "id": "814860"}},
            "statistics": {"type": "conversation_statistics", "time_to_admin_reply": 310, "count_reopens": 1},
            "sla_applied": {"type": "conversation_sla_summary", "sla_name": "VIP", "sla_status": "missed"},
        } | top

    def _tickets(self, asked: dict[str, Any]) -> dict[str, Any]:
        parts = {"type": "ticket_part.list", "ticket_parts": [], "total_count": 0}
        rows = [
            {
                "type": "ticket",
                "id": str(record.number),
                "updated_at": int(record.at.timestamp()),
                "open": False,
                "admin_assignee_id": 814860,
                "ticket_parts": parts,
            }
            for record in self.visible()
        ]
        return self._search("tickets", asked, rows)

    def _admins(self, _asked: dict[str, Any]) -> dict[str, Any]:
        ann = {"type": "admin", "id": "814860", "name": "Ann", "email": "ann@example.com", "away_mode_enabled": True}
        return {"type": "admin.list", "admins": [ann]}

    def _error(self, code: str, message: str, status: int, **headers: str) -> Reply:
        return self.reply({"type": "error.list", "errors": [{"code": code, "message": message}]}, status, **headers)

    def busy(self) -> tuple[Reply, float]:
        reset = str(int(self.clock.at.timestamp()) + 10)
        return self._error("rate_limit_exceeded", "Exceeded rate limit", 429, **{"X-RateLimit-Reset": reset}), 10

    def long_busy(self) -> tuple[Reply, float | None]:
        reset = str(int(self.clock.at.timestamp()) + 900)
        return self._error("rate_limit_exceeded", "Exceeded rate limit", 429, **{"X-RateLimit-Reset": reset}), 900

    def expired(self) -> Refusal:
        return Refusal(self._error("unauthorized", "Access Token Invalid", 401), "Access Token Invalid")

    def forbidden(self) -> Refusal:
        return Refusal(self._error("forbidden", "You do not have permission", 403), "You do not have permission")


def _operation(request: PreparedRequest) -> str:
    """Give the path as the contract has it."""
    return re.sub(r"/conversations/\d+$", "/conversations/{conversation_id}", path(request))
