"""The effects of programs as they were estimated, and kept under the hashes of what they were estimated from.

Whoever shows a result reads it from here: estimating is `bridge.estimating`, which needs numpy, and the web process
never imports that.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge.models import Impact
from bridge.times import utc_text


def newest(session: Session, name: str) -> Impact | None:
    """Give the last result of a program; None where nothing was estimated yet."""
    return session.scalar(select(Impact).filter_by(program=name).order_by(Impact.id.desc()).limit(1))


def told(impact: Impact) -> dict[str, Any]:
    """Give a result with what it rests on."""
    return {
        "program": impact.program,
        "computed_at": utc_text(impact.computed_at),
        "engine": impact.engine,
        "data_hash": impact.data_hash,
        "contract_hash": impact.contract_hash,
        **impact.result,
    }
