"""`lrs-bridge impact`: whether performance changed because of a programme. numpy is imported when it runs."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.commands.effects import ProgramOrCommand
from bridge.commands.rollouts import Share, draw, plan
from bridge.commands.shared import console, json_option, print_json
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from bridge.impact import Circumstances, Contract, Result
    from bridge.panel_files import Table
    from bridge.periods import Calendar

FEW_PERIODS = 24
"""Up to so many, a panel is not taken to be one of weeks: no window, one period is enough before and after."""

MOST_PERIODS = 10_000
"""More than the years, months, weeks or days of anybody's career."""

MOST_PEOPLE = 1_000_000


@click.group(cls=ProgramOrCommand)
def impact() -> None:
    """Whether performance changed because of a programme: an estimate with its interval, or why there is none."""


impact.add_command(plan)
impact.add_command(draw)


@dataclass(frozen=True)
class _Call:
    """What was asked for, as the options say it."""

    file: Path
    outcome: str
    person: str | None
    period: str | None
    first_treated: str | None
    treated: str | None
    design: str | None
    assigned: str | None
    team: str | None
    role: str | None
    weight: str | None
    exposure: str | None
    covariates: str | None
    exclude_before: int | None
    min_pre: int | None
    horizon: int | None
    interim: int | None
    target: float | None
    control: str | None
    direction: str
    family: str
    unit: str
    smallest_group: int
    randomised: bool
    identity_match: float | None
    changed: str
    overlap: float | None
    as_json: bool

    @property
    def covariate_names(self) -> list[str]:
        return [name.strip() for name in (self.covariates or "").split(",") if name.strip()]


@impact.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--outcome", metavar="C", required=True, help="Column of the metric; empty: no value.")
@click.option("--person", metavar="C", help="Column that tells people (or shops, or states) apart.")
@click.option("--period", metavar="C", help="Column of the period: whole numbers, or dates of years, months or weeks.")
@click.option("--first-treated", metavar="C", help="Column of the period of training. Empty, NaN, 0 or inf: never.")
@click.option("--treated", metavar="C", help="Column of 0 and 1, for the designs without a period of training.")
@click.option(
    "--design",
    type=click.Choice(["panel", "two-period", "experiment"]),
    help="Default: panel with --first-treated; with --treated two-period if there is --period, else experiment.",
)
@click.option("--assigned", metavar="C", help="Column of the period in which people were sent, if that is known.")
@click.option(
    "--team", metavar="C", help="Column of teams, which share managers and shocks. Default: each person is one."
)
@click.option("--role", metavar="C", help="Column of roles: people are compared within them.")
@click.option("--weight", metavar="C", help="Column of weights.")
@click.option("--exposure", metavar="C", help="Column to divide by: cases, hours (families rate, count and ratio).")
@click.option("--covariates", metavar="A,B", help="Columns to adjust for.")
@click.option(
    "--exclude-before",
    metavar="N",
    type=click.IntRange(0, MOST_PERIODS),
    help="Length of the nomination window. [6 or 0]",
)
@click.option(
    "--min-pre",
    metavar="N",
    type=click.IntRange(1, MOST_PERIODS),
    help="Periods before it that a person needs. [8 or 1]",
)
@click.option(
    "--horizon",
    metavar="N",
    type=click.IntRange(1, MOST_PERIODS),
    help="Periods that the effect is taken over. [12 or all]",
)
@click.option(
    "--interim", metavar="N", type=click.IntRange(1, MOST_PERIODS), help="Periods of the first look. [4 or 1]"
)
@click.option(
    "--target",
    metavar="X",
    type=float,
    help="Smallest change that is worth it, without sign. Family rate: 0.03 is 3 percentage points; log: 0.05 is 5 %.",
)
@click.option("--control", type=click.Choice(["never", "not-yet"]), help="Of Callaway and Sant'Anna. [not-yet]")
@click.option(
    "--direction", type=click.Choice(["higher", "lower"]), default="higher", show_default=True, help="Better."
)
@click.option(
    "--family",
    type=click.Choice(["linear", "rate", "log", "rating", "count", "ratio"]),
    default="linear",
    show_default=True,
    help="What kind of number the metric is.",
)
@click.option("--unit", default="", help="Unit of the metric, for the sentences.")
@click.option(
    "--smallest-group",
    metavar="N",
    type=click.IntRange(1, MOST_PEOPLE),
    default=1,
    help="Show no effect of fewer people.",
)
@click.option("--randomised", is_flag=True, help="Chance decided who was trained, or who first.")
@click.option("--identity-match", metavar="X", type=Share(), help="Share of the people matched (R8).")
@click.option("--changed", metavar="TEXT", default="", help="What else changed for one group only (R9).")
@click.option("--overlap", metavar="X", type=Share(), help="Share of the trained in another one (R10).")
@json_option
def panel(**options: Any) -> None:  # noqa: ANN401 - click gives what the options above say
    """Estimate on FILE (CSV with a header, or Parquet); no database is needed.

    Defaults in brackets are for panels of weeks (by dates, or of more than 24 numbered periods), or for others.
    """
    call = _Call(**options)
    try:
        import numpy as np  # noqa: F401 - the message must come before anything is read
    except ModuleNotFoundError as error:
        raise BridgeError("Estimates need numpy and scipy: pip install 'lrs-bridge[impact]'") from error
    from bridge import panel_files
    from bridge.impact import ContractError, PanelError

    design = _design(call)
    if call.outcome in call.covariate_names:
        raise click.UsageError(f"--covariates {call.outcome}: the outcome cannot be its own covariate. Leave it out.")
    table = panel_files.read(call.file)
    try:
        result, about = (_panel if design == "panel" else _groups)(call, table, design)
    except PanelError as error:
        raise table.error(error.column, error.row, f": {error.text}") from error
    except ContractError as error:
        raise click.UsageError(str(error)) from error
    if call.as_json:
        print_json({**result.to_json(), **about})
    else:
        _print(result, about)


def _design(call: _Call) -> str:
    """Tell the design, and whether the columns that it needs were named, and no others."""
    design = call.design
    if design is None:
        if (call.first_treated is None) == (call.treated is None):
            raise click.UsageError("Name one of --first-treated (a panel) and --treated (two groups).")
        design = "panel" if call.first_treated else "two-period" if call.period else "experiment"
    needed, used = _OPTIONS[design]
    if missing := [_option(name) for name in needed if getattr(call, name) is None]:
        raise click.UsageError(f"The design {design} needs {', '.join(missing)}.")
    everything = {name for columns in _OPTIONS.values() for names in columns for name in names}
    unused = sorted(everything - {*needed, *used})
    if idle := [_option(name) for name in unused if getattr(call, name) is not None]:
        of_use = f"; it takes {', '.join(map(_option, (*needed, *used)))}"
        raise click.UsageError(f"The design {design} has no use for {', '.join(idle)}{of_use}.")
    if call.exposure and call.family not in _WITH_EXPOSURE:
        raise click.UsageError(
            f"--exposure is used with --family {', '.join(_WITH_EXPOSURE)} only: name that, or leave --exposure out."
        )
    if call.family == "ratio" and not call.exposure:
        raise click.UsageError("--family ratio needs --exposure, the column to divide by, and so the design panel.")
    if call.target is not None and call.target >= 1 and call.family in ("rate", "log"):
        share = "0.03 is 3 percentage points" if call.family == "rate" else "0.05 is 5 %"
        raise click.UsageError(f"--target {call.target:g}: with --family {call.family} it is a share below 1; {share}.")
    return design


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


_OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "panel": (
        ("person", "period", "first_treated"),
        (
            *("assigned", "team", "role", "weight", "exposure", "covariates"),
            *("exclude_before", "min_pre", "horizon", "interim", "control"),
        ),
    ),
    "two-period": (("person", "period", "treated"), ("team", "weight", "covariates")),
    "experiment": (("treated",), ("person", "team", "weight", "covariates")),
}
"""Options that a design needs, and those that it can use; an option that does nothing would look as if it did."""
_WITH_EXPOSURE = ("rate", "count", "ratio")


def _panel(call: _Call, table: "Table", _: str) -> tuple["Result", dict[str, Any]]:
    from bridge import panel_files, periods
    from bridge.impact import estimate
    from bridge.impact import panel as make

    person, period, first = call.person or "", call.period or "", call.first_treated or ""
    numbered, calendar = periods.periods(table, period)
    earliest = min(numbered, default=1)
    values: dict[str, Any] = {
        "person": table.column(person),
        "period": numbered,
        "outcome": panel_files.numbers(table, call.outcome),
        "first_treated": periods.trainings(table, first, calendar, earliest),
    }
    if call.assigned:
        values["assigned"] = periods.trainings(table, call.assigned, calendar, earliest)
    values |= _others(call, table, ("team", "role"), ("weight", "exposure"))
    names = {name: getattr(call, name) for name in values if name != "covariates"}
    made = make(**values, names=names)
    count = len(set(numbered))
    is_short = count <= FEW_PERIODS or calendar.unit not in {"week", "period"}
    contract = _contract(call, calendar.unit, is_short=is_short)
    about = {
        "periods": _periods(numbered, calendar),
        "contract": _plain(contract),
    }
    return estimate(made, contract, _circumstances(call, contract), published=True), about


def _periods(numbered: "list[int]", calendar: "Calendar") -> dict[str, Any]:
    """Say what the periods were taken for."""
    first, last = min(numbered), max(numbered)
    return {
        "unit": calendar.unit,
        "read": calendar.read,
        "count": len(set(numbered)),
        "absent": last - first + 1 - len(set(numbered)),
        "first": calendar.name(first),
        "last": calendar.name(last),
    }


def _circumstances(call: _Call, contract: "Contract") -> "Circumstances":
    from bridge.impact import Circumstances

    return Circumstances(
        identity_match=call.identity_match,
        changed=call.changed.strip(),
        overlap=call.overlap,
        data_hash=_hash(call.file.read_bytes()),
        contract_hash=_contract_hash(contract),
    )


def _groups(call: _Call, table: "Table", design: str) -> tuple["Result", dict[str, Any]]:
    from bridge import panel_files, periods
    from bridge.impact import experiments, two_group

    values: dict[str, Any] = {
        "outcome": panel_files.numbers(table, call.outcome),
        "treated": table.column(call.treated or ""),
        **_others(call, table, ("team",), ("weight",)),
    }
    contract = _contract(call, "period", is_short=True)
    if call.person:
        values["person"] = table.column(call.person)
    about: dict[str, Any] = {"contract": _plain(contract)}
    if call.period:
        values["period"], calendar = periods.periods(table, call.period)
        if values["period"]:
            about["periods"] = _periods(values["period"], calendar)
    values["names"] = {name: getattr(call, name) for name in values if name != "covariates"}
    values["family"] = contract.primary_metric.family
    if design == "experiment":
        found = two_group.difference_in_means(two_group.experiment(**values), contract.level)
    else:
        found = two_group.two_periods(**values, level=contract.level)
    return experiments.judge(found, contract, design, _circumstances(call, contract)), about


def _others(call: _Call, table: "Table", texts: tuple[str, ...], numeric: tuple[str, ...]) -> dict[str, Any]:
    from bridge import panel_files

    found: dict[str, Any] = {name: table.column(getattr(call, name)) for name in texts if getattr(call, name)}
    found |= {name: panel_files.numbers(table, getattr(call, name)) for name in numeric if getattr(call, name)}
    if call.covariate_names:
        found["covariates"] = {name: panel_files.numbers(table, name) for name in call.covariate_names}
    return found


def _contract(call: _Call, unit: str, *, is_short: bool) -> "Contract":
    from bridge.impact import Contract, Control, Direction, Family, Metric

    metric = Metric(call.outcome, Direction(call.direction), call.target, Family(call.family), unit=call.unit)
    contract = Contract(
        metrics=(metric,),
        control=Control(call.control or "not-yet"),
        randomised=call.randomised,
        effect_cell=call.smallest_group,
        cell=min(call.smallest_group, Contract().cell),
        period_word="week" if unit == "period" and not is_short else unit,
    )
    if is_short:
        few: dict[str, Any] = {
            "exclude_before": 0,
            "min_pre": 1,
            "min_post": 1,
            "horizon": None,
            "interim": 1,
            "bin": 1,
        }
        contract = replace(contract, **few, placebo_shift=1)
    asked = {name: getattr(call, name) for name in ("exclude_before", "min_pre", "horizon", "interim")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if "horizon" in asked and "interim" not in asked:
        asked["interim"] = min(contract.interim, asked["horizon"])
    return replace(contract, **asked)


def _plain(contract: "Contract") -> dict[str, Any]:
    from bridge.impact.result import as_json

    content: dict[str, Any] = as_json(contract)
    return content


def _contract_hash(contract: "Contract") -> str:
    import json

    return _hash(json.dumps(_plain(contract), sort_keys=True).encode())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _print(result: "Result", about: dict[str, Any]) -> None:
    from bridge import printing

    verdict = result.verdict
    click.echo(f"Verdict: {verdict.grade.value}\n")
    for sentence in verdict.sentences:
        click.echo(sentence)
    if found := about.get("periods"):
        absent = f"; {found['absent']:,} between them have no row" if found["absent"] else ""
        span = f"{found['first']} to {found['last']}"
        click.echo(f"\nPeriods: {found['count']:,}, from {span}, read as {found['read']}{absent}.")
    screen = console()
    for title, rows in _tables(result):
        click.echo(f"\n{title}")
        printing.show(rows, screen)


def _tables(result: "Result") -> "Iterator[tuple[str, list[dict[str, Any]]]]":
    """Give the tables that have rows: reasons, estimates, bins, what they were made of."""
    from bridge import impacts

    if result.verdict.reasons:
        yield (
            "Why there is no verdict:",
            [{"code": one.code.value, "reason": one.text} for one in result.verdict.reasons],
        )
    if result.verdict.hides_figures:
        return
    if estimates := list(_estimates(result)):
        yield f"Estimates ({_scale(result)}):", estimates
    if figures := list(_published(result)):
        yield "As in the literature (no window, all periods after; names in bridge/impact/README.md):", figures
    if figures := list(_figures(result)):
        yield "Differences, with their standard errors:", figures
    if bins := [
        {
            "since": impacts.span({"start": one.start, "end": one.end}),
            "estimate": _shown(one.interval.estimate),
            "low": _shown(one.interval.low),
            "high": _shown(one.interval.high),
            "band": f"{_shown(one.band_low)} to {_shown(one.band_high)}" if one.band_low is not None else "-",
            "n": one.people,
            "note": "nomination window" if one.in_window else "",
        }
        for one in result.event_study.bins
    ]:
        yield "By periods since training, from 1 on (the band holds for all at once):", bins
    if result.balance and result.balance.differences:
        yield (
            "Alike before?",
            [
                {
                    "covariate": one.covariate,
                    "trained": _shown(one.treated),
                    "comparison": _shown(one.comparison),
                    "standard deviations apart": _shown(one.standardised),
                }
                for one in result.balance.differences
            ],
        )
    if result.counts:
        counts = result.counts
        yield (
            "Made of:",
            [
                {
                    "what": "people, of them trained, of them used",
                    "count": f"{counts.people}, {counts.trained}, {counts.used}",
                },
                {"what": "comparison people", "count": str(counts.comparison)},
                {"what": "teams, with trained people", "count": f"{counts.teams}, {counts.trained_teams}"},
                {"what": "rows after training, used", "count": f"{counts.treated_rows}, {counts.used_rows}"},
                {"what": "left out: without own level", "count": str(counts.unlevelled_rows)},
                {"what": "left out: nobody like them untrained", "count": str(counts.unsupported_rows)},
                {"what": "trained before their first row", "count": str(counts.always_trained)},
            ],
        )


def _estimates(result: "Result") -> "Iterator[dict[str, Any]]":
    tests = result.tests
    found = [
        ("sent (ITT), horizon", result.itt),
        ("trained (ATT), horizon", result.att),
        ("trained (ATT), first look", result.att_interim),
        ("trained (ATT), all since", result.att_all),
        *((one.name, one.interval) for one in result.opinions),
    ]
    if tests:
        found += [("trend before, a period", tests.slope), ("nomination window", tests.rise)]
        found += [("training that was not, earlier", tests.placebo)]
    for name, one in found:
        if one.estimate is not None:
            yield {
                "what": name,
                "estimate": _shown(one.estimate),
                "se": _shown(one.se),
                "low": _shown(one.low),
                "high": _shown(one.high),
                "p": "-" if one.p is None else f"{one.p:.3f}",
            }


def _published(result: "Result") -> "Iterator[dict[str, Any]]":
    imputation: Any = result.published.get("imputation")
    if imputation:
        errors = {"two-stage": "se_two_stage", "imputation": "se_imputation", "jackknife": "se_jackknife"}
        for name, key in errors.items():
            yield {
                "what": f"imputation, error: {name}",
                "estimate": _shown(imputation["estimate"]),
                "se": _shown(imputation[key]),
            }
    for control in ("never", "not_yet"):
        other: Any = result.published.get(f"callaway_santanna_{control}")
        if other is None:
            continue
        named = {"simple": other.simple, "group": other.group.overall, "event": other.event.overall}
        for name, one in named.items():
            if one.estimate is not None:
                what = f"Callaway and Sant'Anna, {control.replace('_', ' ')}: {name}"
                yield {"what": what, "estimate": _shown(one.estimate), "se": _shown(one.se)}


def _figures(result: "Result") -> "Iterator[dict[str, Any]]":
    for name, one in result.published.items():
        content = one if isinstance(one, dict) else getattr(one, "__dict__", {})
        if "se_pooled" in content:
            row = {"what": name, "estimate": _shown(content["estimate"])}
            yield row | {key.removeprefix("se_"): _shown(content[key]) for key in content if key.startswith("se_")}


def _scale(result: "Result") -> str:
    match result.metric.family.value:
        case "log":
            return "differences of logarithms"
        case "rate":
            return "shares, 0.01 is a point"
        case _:
            return result.metric.unit or "units of the metric"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
