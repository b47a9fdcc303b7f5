"""Freshdesk: pages by number up to a last one, thirty days where nothing is said, deleted tickets by themselves."""

import re
from datetime import datetime, timedelta
from typing import Any, ClassVar

import responses
from helpdesk import Reply, iso
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, path, query

URL = "https://acme.freshdesk.com/api/v2"


class Freshdesk(Cloud):
    """One account."""

    VENDOR = "freshdesk"
    ACCOUNT: ClassVar[dict[str, Any]] = {"domain": "acme", "key": {"secret": "freshdesk-key"}}
    STREAM = "tickets"
    ROUTES: ClassVar[list[tuple[str, Any]]] = [
        (responses.GET, re.compile(rf"{URL}/(tickets|agents|surveys/satisfaction_ratings)"))
    ]
    SIZE = 100  # what is asked for: a shorter page is the last one
    NUMBER = NUMBER_PATH = "priority"
    CUSTOM, CUSTOM_PATH = "cf_region", "custom_fields.cf_region"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.last_page = 300
        self.queries: list[dict[str, str]] = []
        self.left = 4000

    def page(self, request: PreparedRequest) -> Reply:
        asked = query(request)
        self.queries.append(asked)
        if path(request).endswith("/agents"):
            contact = {"name": "Ann", "email": "ann@example.com", "last_login_at": iso(self.clock.at)}
            return self._page([{"id": 7, "contact": contact, "available": True}], asked)
        if path(request).endswith("/satisfaction_ratings"):
            since = datetime.fromisoformat(asked["created_since"])
            rows = [self._rating(record) for record in self.visible() if record.at >= since]
            return self._page(rows[::-1], asked)  # newest first
        if not path(request).endswith("/tickets"):
            record = self.named(path(request).rpartition("/")[2])
            return self.reply(self._ticket(record, asked["include"]) if record else None, 200 if record else 404)
        if int(asked["page"]) > self.last_page:
            fault = {
                "field": "page",
                "message": f"It should be less than or equal to {self.last_page}",
                "code": "invalid_value",
            }
            return self.reply({"description": "Validation failed", "errors": [fault]}, 400)
        assert (asked["order_by"], asked["order_type"]) == ("updated_at", "asc")
        since = datetime.fromisoformat(asked["updated_since"]) if "updated_since" in asked else None
        since = since or self.clock.at - timedelta(days=30)
        deleted = asked.get("filter") == "deleted"
        found = [record for record in self.visible() if record.deleted == deleted and record.at > since]
        return self._page([self._ticket(record, asked.get("include")) for record in found], asked)

    def _page(self, rows: list[dict[str, Any]], asked: dict[str, str]) -> Reply:
        self.left -= 3 if "include" in asked else 1
        size = int(asked["per_page"])
        begin = (int(asked.get("page", 1)) - 1) * size
        headers = {
            "X-RateLimit-Total": "5000",
            "X-RateLimit-Remaining": str(self.left),
            "X-RateLimit-Used-CurrentRequest": "3",
        }
        return self.reply(rows[begin : begin + size], **headers)

    def _ticket(self, record: Record, include: str | None) -> dict[str, Any]:
        own = {name: value for name, value in record.values.items() if name.startswith("cf_")}
        top = {name: value for name, value in record.values.items() if not name.startswith("cf_")}
        stats = {"stats": {"first_responded_at": iso(record.at), "resolved_at": iso(record.at), "reopened_at": None}}
        ticket = {
            "id": record.number,
            "priority": 1,
            "status": 4,
            "responder_id": 7,
            "is_escalated": False,
            "fr_escalated": True,
        }
        ticket |= {
            "subject": "My card",
            "created_at": iso(record.at),
            "updated_at": iso(record.at),
            "custom_fields": own,
        }
        return ticket | (stats if include == "stats" else {}) | top

    def _rating(self, record: Record) -> dict[str, Any]:
        made = {"created_at": iso(record.at), "updated_at": iso(record.at), "feedback": "Thank you for my card"}
        return {"id": record.number, "agent_id": 7, "ticket_id": 1, "ratings": {"default_question": 103}, **made}

    def busy(self) -> tuple[Reply, float]:
        return self.reply(
            {"message": "You have exceeded the limit of requests per hour"}, 429, **{"Retry-After": "30"}
        ), 30

    def long_busy(self) -> tuple[Reply, float | None]:
        said = {"message": "You have exceeded the limit of requests per hour"}
        return self.reply(said, 429, **{"Retry-After": "1800"}), 1800

    def expired(self) -> Refusal:
        said = "You have to be logged in to perform this action."
        return Refusal(self.reply({"code": "invalid_credentials", "message": said}, 401), said)

    def forbidden(self) -> Refusal:
        said = "You are not authorized to perform this action."
        return Refusal(self.reply({"code": "access_denied", "message": said}, 403), said)
