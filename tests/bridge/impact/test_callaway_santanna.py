"""Callaway and Sant'Anna's estimator, against diff-diff and csdid."""

import warnings

import diff_diff
import numpy as np
import pandas as pd
import pytest
from csdid.att_gt import ATTgt
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.impact import Control, panel
from bridge.impact.callaway_santanna import callaway_santanna

CONTROLS = {Control.NEVER: "never_treated", Control.NOT_YET: "not_yet_treated"}


def frame(seed, *, people=60, periods=6, gaps=0.0, never=0.4):
    random = np.random.default_rng(seed)
    first = np.where(random.random(people) < never, 0, random.integers(1, periods + 1, people))
    x = random.normal(size=people) + 0.4 * (first > 0)
    rows = pd.DataFrame(
        [(i, t, first[i], x[i], i % 20) for i in range(people) for t in range(1, periods + 1)],
        columns=["i", "t", "g", "x", "c"],
    )
    rows["y"] = (
        random.normal(size=people)[rows.i] + 0.3 * rows.t + 0.2 * rows.x * rows.t + random.normal(size=len(rows))
    )
    rows["y"] += ((rows.g > 0) & (rows.t >= rows.g)) * 1.0
    return rows[random.random(len(rows)) >= gaps].reset_index(drop=True)


def ours(rows, control, *, covariates=(), cluster=False, **more):
    made = panel(
        person=rows.i.to_numpy(),
        period=rows.t.to_numpy(),
        outcome=rows.y.to_numpy(),
        first_treated=np.where(rows.g == 0, np.inf, rows.g),
        team=rows.c.to_numpy() if cluster else None,
        covariates={name: rows[name].to_numpy() for name in covariates},
    )
    return callaway_santanna(made, control=control, **more)


def quiet(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("seed", range(4))
def test_all_averages_equal_diff_diff(control, seed):
    rows = frame(seed)
    fit = diff_diff.CallawaySantAnna(control_group=CONTROLS[control])
    oracle = quiet(lambda: fit.fit(rows, outcome="y", unit="i", time="t", first_treat="g"))
    found = ours(rows, control)
    assert (found.simple.estimate, found.simple.se) == pytest.approx((oracle.overall_att, oracle.overall_se), abs=1e-9)
    events = quiet(lambda: oracle.aggregate("event_study").to_dataframe()).set_index("event_time")
    for event, one in found.event.parts.items():
        assert (one.estimate, one.se) == pytest.approx((events.loc[event, "att"], events.loc[event, "se"]), abs=1e-9)
    groups = quiet(lambda: oracle.aggregate("group"))
    total = groups.to_dataframe().set_index("label")
    for group, one in found.group.parts.items():
        row = total.loc[group] if group in total.index else total.loc[str(group)]
        assert (one.estimate, one.se) == pytest.approx((row["att"], row["se"]), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), gaps=st.sampled_from([0.0, 0.1, 0.3]), control=st.sampled_from(list(CONTROLS)))
def test_every_group_and_time_equals_diff_diff_on_unbalanced_panels(seed, gaps, control):
    rows = frame(seed, people=40, gaps=gaps)
    fit = diff_diff.CallawaySantAnna(control_group=CONTROLS[control])
    try:
        oracle = quiet(lambda: fit.fit(rows, outcome="y", unit="i", time="t", first_treat="g"))
    except ValueError:
        assume(False)
    for cell in ours(rows, control).group_time:
        known = oracle.group_time_effects[(cell.group, cell.period)]
        assert cell.interval.estimate == pytest.approx(known["effect"], abs=1e-9)
        if cell.interval.se is not None and cell.treated > 1 and cell.controls > 1:
            assert cell.interval.se == pytest.approx(known["se"], abs=1e-9)
        assert (cell.treated, cell.controls) == (known["n_treated"], known["n_control"])


@pytest.mark.parametrize(("control", "name"), [(Control.NEVER, "nevertreated"), (Control.NOT_YET, "notyettreated")])
@pytest.mark.parametrize("formula", ["y~1", "y~x"])
def test_everything_equals_csdid(control, name, formula):
    rows = frame(11, people=200, periods=5)
    asked = quiet(
        lambda: ATTgt(yname="y", gname="g", idname="i", tname="t", xformla=formula, data=rows, control_group=[name])
    )
    oracle = quiet(lambda: asked.fit(est_method="dr", bstrap=False))
    found = ours(rows, control, covariates=("x",) if formula == "y~x" else ())
    known = {
        (int(g), int(t)): (att, se)
        for g, t, att, se in zip(*(oracle.results[key] for key in ("group", "year", "att", "se")), strict=True)
    }
    assert {(one.group, one.period) for one in found.group_time} == set(known)
    for one in found.group_time:
        assert (one.interval.estimate, one.interval.se) == pytest.approx(known[one.group, one.period], abs=1e-6)
    for kind, average in (
        ("simple", found.simple),
        ("group", found.group.overall),
        ("calendar", found.calendar.overall),
    ):
        total = quiet(lambda kind=kind: oracle.aggte(typec=kind, bstrap=False, cband=False)).atte
        expected = total["overall_att"], total["overall_se"]
        assert (average.estimate, average.se) == pytest.approx(
            (float(expected[0]), float(np.ravel(expected[1])[0])), abs=1e-6
        )
    total = quiet(lambda: oracle.aggte(typec="dynamic", bstrap=False, cband=False)).atte
    assert found.event.overall.estimate == pytest.approx(float(total["overall_att"]), abs=1e-6)
    assert found.event.overall.se == pytest.approx(float(np.ravel(total["overall_se"])[0]), abs=1e-6)


def test_clustered_influence_is_summed_by_cluster():
    rows = frame(5, people=80)
    twins = pd.concat([rows, rows.assign(i=rows.i + 1000)], ignore_index=True)
    twins["c"] = twins.i % 1000
    alone, doubled = ours(rows, Control.NEVER), ours(twins, Control.NEVER, cluster=True)
    assert doubled.simple.estimate == pytest.approx(alone.simple.estimate)
    assert doubled.simple.se == pytest.approx(alone.simple.se)  # a copy of everybody is no news


def test_people_are_compared_within_their_role():
    rows = frame(6, people=120)
    role = rows.i % 2
    moved = rows.assign(y=rows.y + 5.0 * role * rows.t)  # one role gets better, trained or not

    def simple(rows):
        made = panel(
            person=rows.i.to_numpy(),
            period=rows.t.to_numpy(),
            outcome=rows.y.to_numpy(),
            first_treated=np.where(rows.g == 0, np.inf, rows.g),
            role=role.to_numpy(),
        )
        return callaway_santanna(made, control=Control.NOT_YET).simple.estimate

    assert simple(moved) == pytest.approx(simple(rows))


def test_base_period_lies_before_the_window():
    rows = frame(7, people=120, periods=8)
    dipped = rows.assign(y=rows.y - 9.0 * (rows.t == rows.g - 1))
    kept = ours(dipped, Control.NEVER, anticipation=1).horizon.estimate
    clean = ours(rows, Control.NEVER, anticipation=1).horizon.estimate
    assert kept == pytest.approx(clean)
    assert ours(dipped, Control.NEVER).horizon.estimate > clean + 5


def test_pretrend_test_finds_a_trend_and_only_that():
    rows = frame(8, people=400)
    trending = rows.assign(y=rows.y + 0.8 * rows.t * (rows.g > 0))
    assert ours(rows, Control.NEVER).pretrend.p > 0.05
    assert ours(trending, Control.NEVER).pretrend.p < 0.001
