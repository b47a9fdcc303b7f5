"""The pages of programs: what was agreed, what came of it, and the sheet that auditors want. Signed-in people only."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, jsonify, render_template
from flask.typing import ResponseReturnValue

from bridge import impacts, narrowing, programs
from bridge.errors import NotReady, UnknownName
from bridge.mapping import Documents
from bridge.views import seen, signing_in
from lrs import db

blueprint = Blueprint("effects", __name__, template_folder="templates", url_prefix="/programs")
blueprint.before_request(signing_in.require)

SIGNS = {"strong": "●", "moderate": "◐", "worse": "▼", "no effect seen": "○", "not enough evidence": "?"}
"""Beside each grade's word."""


@blueprint.get("/")
@seen.narrowed
def listed() -> str:
    """List the programs with how far they are and what is known of each."""
    current, withheld = _current(), _withheld()
    cards = [
        (programs.told(db.session, current, name), None if name in withheld else _result(name))
        for name in current.programs
    ]
    return render_template("programs.html", cards=cards, signs=SIGNS)


@blueprint.get("/<name>")
@seen.narrowed
def show(name: str) -> ResponseReturnValue:
    """Show a program: `NAME` as a page, `NAME.json` and `NAME.csv` as files."""
    stem, _, ending = name.rpartition(".")
    if ending in {"csv", "json"}:
        return _file(stem, ending)
    current, told = _program(name)
    withheld = name in _withheld()
    result = None if withheld else _result(name)
    return render_template(
        "program.html",
        withheld=narrowing.TOO_FEW_OTHERS if withheld else None,
        told=told,
        program=current.programs[name],
        result=result,
        sections=[_section(key, found, result) for key, found in impacts.in_order(result)] if result else [],
        people=impacts.people(result) if result else None,
        mismatch=impacts.mismatch(result) if result else None,
        signs=SIGNS,
    )


@blueprint.get("/<name>/evidence")
@seen.narrowed
def evidence(name: str) -> str:
    """Show every number that the verdict rests on, with what was agreed and what was left out."""
    _, told = _program(name)
    result = _shown(name)
    launch = programs.launched(db.session, name)
    return render_template(
        "evidence.html",
        told=told,
        result=result,
        agreed=launch.event.contract if launch else {},
        history=programs.history(db.session, name),
        rows=list(impacts.rows(result)),
        sections=[(found["metric"]["title"] or name, found, _tests(found)) for name, found in impacts.in_order(result)],
        lines=_lines,
    )


@blueprint.errorhandler(404)
def missing(error: Exception) -> tuple[str, int]:
    """Say what was not found, and lead back."""
    return render_template("missing.html", text=getattr(error, "description", str(error))), 404


@blueprint.errorhandler(403)
def closed(error: Exception) -> tuple[str, int]:
    """Say why this is not shown, and lead back."""
    return render_template("closed.html", text=getattr(error, "description", str(error))), 403


def _section(name: str, found: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the page shows of a metric, on the scale that people read."""
    title = found["metric"]["title"] or name
    return {
        "name": name,
        "title": title,
        "unit": impacts.scale(found["metric"])[1],
        "found": found,
        "figure": impacts.writer(found["metric"])[0],
        "bins": _bins(found),
        "seen": impacts.seen(found["event_study"]["bins"]),
        "lasting": impacts.lasting(found),
        "trend": _trend(found, result),
    }


def _bins(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the effect by weeks since training, as people read it; nothing where all is hidden."""
    bins = found["event_study"]["bins"]
    if all(one["interval"]["low"] is None for one in bins):
        return []
    read, _ = impacts.scale(found["metric"])
    write, _ = impacts.writer(found["metric"])
    told = []
    for one in bins:
        figures = {**one["interval"], "band_low": one["band_low"], "band_high": one["band_high"]}
        shown = {key: figures[key] for key in ("estimate", "low", "high", "band_low", "band_high")}
        told.append(
            {
                **{key: None if value is None else read(value) for key, value in shown.items()},
                "written": {key: write(value) for key, value in shown.items()},
                "weeks": impacts.span(one),
                "first": impacts.span({"start": one["start"], "end": one["start"]}),
                **{key: one[key] for key in ("end", "people", "in_window")},
            }
        )
    return told


def _trend(found: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Give the trained as they did and as they would have done, by week; no rows where all is hidden."""
    read, unit = impacts.levels(found["metric"])
    points, waves = found["trend"]["points"], found["trend"]["waves"]
    trained = {wave["period"]: "few" if wave["people"] is None else wave["people"] for wave in waves}
    rows = [
        {
            "week": impacts.week(result, one["period"]).isoformat(),
            **{key: None if one[key] is None else read(one[key]) for key in ("observed", "predicted")},
            "people": one["people"],
            "trained": trained.get(one["period"]),
        }
        for one in points
    ]
    if all(row["observed"] is None for row in rows):
        rows = []
    about = f"{len(rows)} weeks from {rows[0]['week']} to {rows[-1]['week']}." if rows else ""
    return {"unit": unit, "rows": rows, "seen": about, "refused": found["verdict"]["grade"] == "not enough evidence"}


def _tests(found: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Give the tests that are estimates with an interval."""
    return {name: one for name, one in (found["tests"] or {}).items() if isinstance(one, Mapping) and "estimate" in one}


def _lines(value: Any, path: str = "") -> list[tuple[str, str]]:  # noqa: ANN401 - any part of a result
    """Write nested figures as lines of a path and a value."""
    if isinstance(value, Mapping):
        return [line for key, inner in value.items() for line in _lines(inner, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list):
        if all(not isinstance(inner, (Mapping, list)) for inner in value):
            between = " " if path.endswith("sentences") else ", "
            return [(path, between.join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in value) or "-")]
        return [line for place, inner in enumerate(value) for line in _lines(inner, f"{path}.{place}")]
    if isinstance(value, bool):
        return [(path, "yes" if value else "no")]
    return [(path, "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value))]


def _file(name: str, ending: str) -> Response:
    _program(name)
    result = _shown(name)
    if ending == "json":
        response = jsonify(result)
    else:
        response = Response(impacts.as_csv(result), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    return response


def _program(name: str) -> tuple[Documents, dict[str, Any]]:
    current = _current()
    try:
        return current, programs.told(db.session, current, name)
    except UnknownName as error:
        abort(404, str(error))


def _withheld() -> set[str]:
    """Name the programs whose figures would tell of the few whom the caller does not see."""
    return narrowing.with_few_others(db.session, seen.current())


def _shown(name: str) -> dict[str, Any]:
    if name in _withheld():
        abort(403, narrowing.TOO_FEW_OTHERS)
    result = _result(name)
    if result is None:
        abort(404, "Nothing has been estimated of this program yet.")
    return result


def _result(name: str) -> dict[str, Any] | None:
    found = impacts.newest(db.session, name)
    return impacts.told(found) if found else None


def _current() -> Documents:
    try:
        return seen.in_force()
    except NotReady as error:
        abort(404, str(error))
