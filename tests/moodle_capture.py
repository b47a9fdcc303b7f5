"""The capture of a real Moodle: its statements in order, and the requests that they came in (`captures/README.md`)."""

import gzip
import json
from pathlib import Path
from typing import Any

_CAPTURES = Path(__file__).parent / "captures"
_DEMO = Path(__file__).parents[1] / "bridge" / "demo" / "data" / "moodle-statements.jsonl.gz"


def _lines(path: Path) -> list[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def statements() -> list[dict[str, Any]]:
    """Give all 3,796 as they were sent."""
    sent = _lines(_DEMO)
    for left_out in _lines(_CAPTURES / "moodle-left-out.jsonl.gz"):
        sent.insert(left_out["place"], left_out["statement"])
    return sent


def requests() -> list[list[dict[str, Any]]]:
    """Give the 253 batches, the empty ones too."""
    sent = statements()
    return [sent[one["first"] : one["first"] + one["count"]] for one in _lines(_CAPTURES / "moodle-requests.jsonl.gz")]


def invalid_with_mbox() -> list[dict[str, Any]]:
    """Give what is refused of another capture, with other settings."""
    return _lines(_CAPTURES / "moodle-mbox-invalid.jsonl.gz")


def body(batch: list[dict[str, Any]]) -> bytes:
    """Write as PHP does: with slashes and all beyond ASCII escaped."""
    return json.dumps(batch, separators=(",", ":")).replace("/", r"\/").encode()
