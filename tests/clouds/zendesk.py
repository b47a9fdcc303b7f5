"""Zendesk: an export that goes by its own cursor, which is a place in a log of changes, without the last minute."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

import responses
from helpdesk import Reply, iso
from requests import PreparedRequest

from clouds.cloud import Cloud, Refusal, path, query

URL = "https://acme.zendesk.com/api/v2"


class Zendesk(Cloud):
    """One account. A row of the log has the time when it was written down, whatever its record says of itself."""

    VENDOR = "zendesk"
    ACCOUNT: ClassVar[dict[str, Any]] = {
        "subdomain": "acme",
        "email": "admin@example.com",
        "token": {"secret": "zendesk-token"},
    }
    STREAM = "tickets"
    ROUTES: ClassVar[list[tuple[str, str]]] = [
        (responses.GET, f"{URL}/incremental/tickets/cursor"),
        (responses.GET, f"{URL}/incremental/users/cursor"),
        (responses.GET, f"{URL}/incremental/ticket_metric_events"),
        (responses.GET, f"{URL}/satisfaction_ratings"),
        (responses.GET, f"{URL}/guide/survey_responses"),
    ]
    NUMBER = NUMBER_PATH = "via_id"
    CUSTOM = "custom_fields"
    CUSTOM_PATH = None  # a list of {id, value}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.log: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []

    def put(
        self,
        number: int,
        *,
        at: datetime | None = None,
        shown_at: datetime | None = None,
        updated_at: datetime | None = None,
        **values: Any,
    ) -> None:
        super().put(number, at=at, shown_at=shown_at, **values)
        record = self.records[number]
        self.log.append(
            {
                "id": number,
                "updated_at": iso(updated_at or record.at),
                "generated_timestamp": int(record.shown_at.timestamp()),
                "status": "solved",
                "assignee_id": 235323,
                "via_id": 4,
                "satisfaction_rating": {"score": "good"},
                "metric_set": {"reopens": 1, "reply_time_in_minutes": {"calendar": 12, "business": 10}},
                "description": "My card number is",
                "custom_fields": [],
                **record.values,
            }
        )

    def delete(self, number: int, *, at: datetime | None = None) -> None:
        self.put(number, at=at, status="deleted")

    def page(self, request: PreparedRequest) -> Reply:
        asked = query(request)
        self.queries.append(asked)
        if not path(request).endswith("/cursor"):
            return self._listed(path(request).rpartition("/")[2], asked)
        assert ("cursor" in asked) != ("start_time" in asked), "one of the two"
        until = (self.clock.at - timedelta(minutes=1)).timestamp()
        shown = [row for row in self._sorted() if row["generated_timestamp"] < until]
        if "cursor" in asked:
            begin = int(asked["cursor"].removeprefix("MTU"))
        else:
            begin = len([row for row in shown if row["generated_timestamp"] < int(asked["start_time"])])
        rows = shown[begin : begin + self.SIZE]
        end = begin + len(rows)
        name = path(request).split("/")[-2]
        return self.reply(
            {name: rows, "after_cursor": f"MTU{end}", "before_cursor": None, "end_of_stream": end >= len(shown)}
        )

    def _sorted(self) -> list[dict[str, Any]]:
        return sorted(self.log, key=lambda row: row["generated_timestamp"])

    def _listed(self, name: str, asked: dict[str, str]) -> Reply:
        """Answer with lists that are paged by cursor: the next page is named even where there is none."""
        make = {
            "ticket_metric_events": self._event,
            "satisfaction_ratings": self._rating,
            "survey_responses": self._survey,
        }
        since = int(asked.get("start_time") or int(asked["filter[created_at_start]"]) // 1000)
        records = [record for record in self.visible() if record.at.timestamp() >= since]
        rows = [make[name](record.number, iso(record.at)) for record in records]
        begin = int(asked.get("page[after]", 0))
        end = begin + self.SIZE
        after = "&".join(f"{key}={value}" for key, value in (asked | {"page[after]": str(end)}).items())
        place = {"ticket_metric_events": "incremental/", "survey_responses": "guide/"}.get(name, "")
        meta = {"has_more": end < len(rows), "after_cursor": str(end), "before_cursor": "0"}
        links = {"next": f"{URL}/{place}{name}?{after}", "prev": None}
        return self.reply({name: rows[begin:end], "meta": meta, "links": links})

    def _event(self, number: int, at: str) -> dict[str, Any]:
        return {"id": number, "ticket_id": 1, "metric": "reply_time", "instance_id": 1, "type": "breach", "time": at}

    def _rating(self, number: int, at: str) -> dict[str, Any]:
        made = {"created_at": at, "updated_at": at, "comment": "Thank you for my card"}
        return {"id": number, "ticket_id": 1, "assignee_id": 135, "score": "good", **made}

    def _survey(self, number: int, at: str) -> dict[str, Any]:
        subjects = [{"id": "99", "type": "ticket", "zrn": "zen:ticket:99"}]
        answers = [{"type": "rating_scale", "rating": 5, "created_at": at, "updated_at": at}]
        return {"id": f"01J1{number}", "answers": answers, "expires_at": at, "subjects": subjects, "responder_id": 4398}

    def busy(self) -> tuple[Reply, float]:
        return self.reply({"error": "APIRateLimitExceeded"}, 429, **{"Retry-After": "30"}), 30

    def long_busy(self) -> tuple[Reply, float | None]:
        return self.reply({"error": "APIRateLimitExceeded"}, 429, **{"Retry-After": "120"}), 120

    def expired(self) -> Refusal:
        return Refusal(self.reply({"error": "Couldn't authenticate you"}, 401), "Couldn't authenticate you")

    def forbidden(self) -> Refusal:
        said = {"error": "Forbidden", "description": "You must be an admin to access this page"}
        return Refusal(self.reply(said, 403), "You must be an admin")
