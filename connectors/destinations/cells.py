"""What stands in the cells of a gradebook: fields of published rows as short texts, the same for the same row."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.destinations import forms

MOST = 255
"""Characters of a cell and of a title (canvas-lms: maximum_string_length)."""

FIELDS: Mapping[str, Sequence[str]] = {
    "records": (
        "program_title",
        "team",
        "role",
        "enrolled_at",
        "completed_at",
        "attempts",
        "best_score",
        "last_activity_at",
        "remembered_score",
        "highest_tier",
        "highest_tier_name",
        "uses_before",
        "rate_before",
        "uses_since",
        "rate_since",
        "days_to_first",
        "match",
        "next_practice",
        "url",
    ),
    "measures": (
        "metric_title",
        "unit",
        "direction",
        "before_mean",
        "before_count",
        "since_mean",
        "since_count",
        "program_title",
        "team",
    ),
    "readiness": ("state", "level", "evidence", "last_evidence_at", "moment", "skill_title", "next_practice"),
}
"""What a column can show, by feed: those about one learner each."""
_SHARES = frozenset({"best_score", "remembered_score", "level"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the document declares it."""

    title: str
    value: str
    hidden: bool = False

    @property
    def mark(self) -> str:
        """What it is known by, whatever somebody may have called it since."""
        return hashlib.sha256(self.title.encode()).hexdigest()[:6]


def texts(columns: Sequence[Column], body: Mapping[str, Any]) -> list[str]:
    """Give what stands in these columns for a row; an empty text is no cell."""
    return [_text(column.value, body.get(column.value)) for column in columns]


def digest(columns: Sequence[Column], cells: Sequence[str]) -> str:
    """Give what cells are known by, to see whether they were changed."""
    content = json.dumps([[column.mark, cell] for column, cell in zip(columns, cells, strict=True)])
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _text(name: str, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float() if name in _SHARES:
            return f"{100 * value:.0f} %"
        case int():
            return str(value)
        case float():
            return f"{value:.2f}".rstrip("0").rstrip(".")
        case str() if name.endswith("_at"):
            return _day(value)
        case list():
            return _short(", ".join(str(one) for one in value))
    # Gradebooks are exported as CSV, and a spreadsheet would run a text that begins like a formula.
    return _short(forms.cell(" ".join(str(value).split())))


def _day(value: str) -> str:
    try:
        return datetime.fromisoformat(value).date().isoformat()
    except ValueError:
        return _short(value)


def _short(text: str) -> str:
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"
