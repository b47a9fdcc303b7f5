"""The effects of programs as they were estimated, and kept under the hashes of what they were estimated from.

Whoever shows a result reads it from here: estimating is `bridge.estimating`, which needs numpy, and the web process
never imports that.
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge import suppression
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


def people(result: Mapping[str, Any]) -> str:
    """Say in a sentence how many were sent, trained and in the population; counts of few people are not there."""
    trained, sent, everybody = (
        f"fewer than {suppression.LEAST}" if result["people"][key] is None else str(result["people"][key])
        for key in ("trained", "assigned", "in_population")
    )
    return f"{trained} of {sent} people sent were trained, {everybody} are in the population.".capitalize()


def scale(metric: Mapping[str, Any]) -> tuple[Callable[[float], float], str]:
    """Give how an effect is shown, and its unit: a log in per cent, a share in percentage points, or as it is."""
    match metric["family"]:
        case "log":
            return lambda effect: 100 * math.expm1(effect), "%"
        case "rate":
            return lambda effect: 100 * effect, "percentage points"
        case _:
            return lambda effect: effect, metric["unit"]


def levels(metric: Mapping[str, Any]) -> tuple[Callable[[float], float], str]:
    """Give how a level, and no change, is shown, and its unit: a log as what it is the log of, a share in per cent."""
    match metric["family"]:
        case "log":
            return math.exp, metric["unit"]
        case "rate":
            return lambda level: 100 * level, "%"
        case _:
            return lambda level: level, metric["unit"]


def week(result: Mapping[str, Any], period: int) -> date:
    """Give the Monday of a period of a result."""
    return date.fromisoformat(result["first_week"]) + timedelta(weeks=period)


def writer(metric: Mapping[str, Any]) -> tuple[Callable[[float | None], str], str]:
    """Give how figures of a metric are written on the scale that people read, and their unit; a dash for none.

    The engine gives no figures of too few people, so there is nothing to hide here.
    """
    read, unit = scale(metric)
    return lambda effect: "-" if effect is None else _signed(read(effect)), unit


def _signed(value: float) -> str:
    """Write two significant digits, and all before the point."""
    return f"{value:+.0f}" if abs(value) >= SIGNIFICANT else f"{value:+.2g}"


SIGNIFICANT = 100


def span(one: Mapping[str, Any]) -> str:
    """Say which weeks a bin covers, counted as people do: the week of training is week 1, the one before it -1."""
    first, last = (one[key] + 1 if one[key] >= 0 else one[key] for key in ("start", "end"))
    return f"{first}" if first == last else f"{first} to {last}"


def seen(bins: Sequence[Mapping[str, Any]]) -> str:
    """Say in words what the picture of an event study shows."""
    told = []
    for when, is_since in (("before", False), ("since", True)):
        some = [one["interval"] for one in bins if (one["end"] >= 0) is is_since]
        known = [one for one in some if one["low"] is not None]
        above, below = sum(one["low"] > 0 for one in known), sum(one["high"] < 0 for one in known)
        if known:
            told.append(
                f"Of {len(known)} spans {when}, {above} lie above no change with all of the interval, {below} below."
            )
    return " ".join(told)


def in_order(result: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Give (name, result) of each metric, the primary one first."""
    return sorted(result["metrics"].items(), key=lambda one: (one[0] != result["primary"], one[0]))


MOST_COMPLETED = 0.8
"""From this share on, completion looks like success."""


def mismatch(result: Mapping[str, Any]) -> str | None:
    """Say that a course is completed and moves nothing, where both are known; a refusal is no such finding."""
    primary = result["metrics"][result["primary"]]
    rate = primary["completion_rate"]
    if rate is None or rate < MOST_COMPLETED or primary["verdict"]["grade"] not in ("no effect seen", "worse"):
        return None
    name = primary["metric"]["title"] or primary["metric"]["name"]
    found = "got worse" if primary["verdict"]["grade"] == "worse" else "did not gain what was aimed at"
    return (
        f"{rate:.0%} of those sent completed the training, and {name.lower()} {found}. More of the same training is "
        "not the answer: look at what people are hindered by, and at the cause that was assumed."
    )


LATE_WEEKS = 4
"""What the engine calls early and late."""


def lasting(found: Mapping[str, Any]) -> str | None:
    """Say whether the effect of a metric lasts; None where there is no verdict, or too short a time to tell."""
    durability = found["durability"]
    if durability is None or found["verdict"]["grade"] not in ("strong", "moderate"):
        return None
    early, late, ratio = durability["early"], durability["late"], durability["ratio"]
    if early["low"] is None or late["low"] is None:
        return None
    written, unit = writer(found["metric"])
    unit = f" {unit}" if unit else ""
    spans = [
        f"{written(one['estimate'])}{unit} ({written(one['low'])} to {written(one['high'])})" for one in (early, late)
    ]
    told = (
        f"In the first {LATE_WEEKS} weeks the change was {spans[0]}, in the last {LATE_WEEKS} of the horizon {spans[1]}"
        "; in brackets the 95 % intervals."
    )
    if ratio["low"] is not None:
        kept, low, high = (f"{100 * ratio[key]:.0f}" for key in ("estimate", "low", "high"))
        told += f" That is {kept} % of the first change (95 % interval {low} to {high} %)."
    if late["low"] <= 0 <= late["high"]:
        told += " Nothing may be left by then: plan a refresh before."
    return told


def rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Give a line for each metric and each estimate of it, as they are on the scale of the estimate."""
    for name, found in in_order(result):
        estimates = {key: found[key] for key in ("att", "att_interim", "att_all", "itt", "itt_interim")}
        if found["durability"]:
            estimates |= {f"durability_{key}": found["durability"][key] for key in ("early", "late", "ratio")}
        estimates |= {opinion["name"]: opinion["interval"] for opinion in found["opinions"]}
        for one in found["event_study"]["bins"]:
            estimates[f"weeks {span(one)}"] = one["interval"] | {"people": one["people"]}
        for estimate, interval in estimates.items():
            figures = {key: interval.get(key) for key in ("estimate", "low", "high", "se", "df", "p", "people")}
            yield {"metric": name, "estimate_of": estimate, **figures, "verdict": found["verdict"]["grade"]}


def as_csv(result: Mapping[str, Any]) -> str:
    """Write `rows` as CSV."""
    lines = list(rows(result))
    written = io.StringIO()
    writer = csv.DictWriter(written, list(lines[0]) if lines else ["metric"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return written.getvalue()
