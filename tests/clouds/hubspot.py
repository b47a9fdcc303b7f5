"""HubSpot: searches that go through 10,000 results and no further, behind an index that runs late."""

import re
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import responses
from helpdesk import Reply
from requests import PreparedRequest

from clouds.cloud import Cloud, Record, Refusal, body, path, query

URL = "https://api.hubapi.com"
CAP = 10_000


class HubSpot(Cloud):
    """One account."""

    VENDOR = "hubspot"
    ACCOUNT: ClassVar[dict[str, Any]] = {"token": {"secret": "hubspot-token"}}
    STREAM = "deals"
    ROUTES: ClassVar[list[tuple[str, Any]]] = [
        (responses.POST, re.compile(rf"{URL}/crm/objects/2026-03/\w+/(search|batch/read)")),
        (responses.GET, re.compile(rf"{URL}/crm/(objects|owners|pipelines)/2026-03.*")),
    ]
    SIZE = 200
    NUMBER, NUMBER_PATH = "amount", "properties.amount"
    CUSTOM, CUSTOM_PATH = "region", None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.searches: list[dict[str, Any]] = []
        self.owners: list[dict[str, Any]] = []

    def page(self, request: PreparedRequest) -> Reply:
        last = path(request).rpartition("/")[2]
        if last == "search":
            return self._search(body(request))
        if last == "read":
            return self._read(body(request))
        asked = query(request)
        if "owners" in path(request):
            found = [owner for owner in self.owners if owner["archived"] == (asked["archived"] == "true")]
            return self.reply({"results": found})
        if "pipelines" in path(request):
            stages = [
                {"id": "closedwon", "label": "Closed Won", "metadata": {"isClosed": "true", "probability": "1.0"}}
            ]
            return self.reply({"results": [{"id": "default", "label": "Sales", "stages": stages, "archived": False}]})
        if last.isdigit():
            record = self.named(last)
            names = parse_qs(urlsplit(str(request.url)).query)["properties"]
            return self.reply(self._row(record, names) if record else {}, 200 if record else 404)
        assert asked["archived"] == "true"
        archived = [record for record in self.visible() if record.deleted]
        begin, size = int(asked.get("after", 0)), int(asked["limit"])
        return self._results([self._row(record, []) for record in archived], begin, size)

    def _search(self, asked: dict[str, Any]) -> Reply:
        self.searches.append(asked)
        if int(asked.get("after", 0)) + asked["limit"] > CAP:
            return self.reply({"status": "error", "message": "There was a problem with the request."}, 400)
        (group,) = asked["filterGroups"]
        low, high, above = (one["value"] for one in group["filters"])
        assert [(one["propertyName"], one["operator"]) for one in group["filters"]] == [
            ("hs_lastmodifieddate", "GTE"),
            ("hs_lastmodifieddate", "LT"),
            ("hs_object_id", "GT"),
        ]
        assert asked["sorts"] == [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
        found = [record for record in self.visible() if not record.deleted and low <= _ms(record.at) < high]
        found = sorted((one for one in found if one.number > int(above)), key=lambda one: one.number)
        size = min(asked["limit"], self.SIZE)
        rows = [self._row(one, asked["properties"]) for one in found[: size + 1]]
        return self._results(rows, 0, size, total=len(found))

    def _results(self, rows: list[Any], begin: int, size: int, **more: Any) -> Reply:
        end = begin + size
        paging = {"paging": {"next": {"after": str(end)}}} if end < len(rows) else {}
        return self.reply({"results": rows[begin:end], **more, **paging})

    def _read(self, asked: dict[str, Any]) -> Reply:
        ids = [int(one["id"]) for one in asked["inputs"]]
        if len(ids) > 50:
            return self.reply({"status": "error", "category": "VALIDATION_ERROR", "message": "at most 50 inputs"}, 400)
        changes = [{"value": "237", "timestamp": "2026-11-01T08:00:00Z", "sourceType": "CRM_UI", "updatedByUserId": 7}]
        history = dict.fromkeys(asked["propertiesWithHistory"], changes)
        rows = [{"id": str(number), "properties": {}, "propertiesWithHistory": history} for number in ids]
        return self.reply({"status": "COMPLETE", "results": rows})

    def _row(self, record: Record, names: list[str]) -> dict[str, Any]:
        stamp = f"{record.at:%Y-%m-%dT%H:%M:%S}.{record.at.microsecond // 1000:03d}Z"
        has = {"amount": "1000", "dealstage": "closedwon", "hubspot_owner_id": "237"} | record.values
        always = {"hs_object_id": str(record.number), "hs_lastmodifieddate": stamp, "createdate": stamp}
        asked = {name: has.get(name) for name in names}
        gone = {"archivedAt": stamp} if record.deleted else {}
        row = {"id": str(record.number), "properties": {**asked, **always}, "createdAt": stamp, "updatedAt": stamp}
        return {**row, "archived": record.deleted, **gone}

    def busy(self) -> tuple[Reply, float]:
        said = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "TEN_SECONDLY_ROLLING"}
        return self.reply(said, 429), 1

    def long_busy(self) -> tuple[Reply, float | None]:
        said = {"status": "error", "errorType": "RATE_LIMIT", "policyName": "DAILY"}
        return self.reply(said, 429, **{"Retry-After": "7200"}), 7200

    def expired(self) -> Refusal:
        said = "The OAuth token used to make this call expired 7 day(s) ago."
        return Refusal(
            self.reply({"status": "error", "message": said, "category": "EXPIRED_AUTHENTICATION"}, 401), said
        )

    def forbidden(self) -> Refusal:
        said = "This app hasn't been granted all required scopes to make this call."
        context = [{"message": said, "context": {"requiredGranularScopes": ["crm.objects.deals.read"]}}]
        reply = self.reply({"status": "error", "message": said, "category": "MISSING_SCOPES", "errors": context}, 403)
        return Refusal(reply, "crm.objects.deals.read")


def _ms(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() * 1000)
