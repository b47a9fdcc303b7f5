"""The donut imputation: against brute force, against diff-diff, against published answers, and what must not matter."""

from dataclasses import replace
from pathlib import Path

import diff_diff
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.impact import Contract, fixed_effects, imputation, influence, panel
from bridge.impact.designs import Design

DATA = Path(__file__).parent / "data"
PLAIN = Contract(
    horizon=None, interim=1, exclude_before=0, min_pre=1, min_post=1, support=1, bin=1, placebo_shift=1, min_people=2
)


def made(seed, *, people=40, periods=9, gaps=0.15, roles=1, teams=8, never=0.4, early=0.0):
    """Give columns of a random panel: unbalanced, with singletons, and with a cohort in the first period if asked."""
    random = np.random.default_rng(seed)
    first = np.where(random.random(people) < never, np.inf, random.integers(2, periods, people).astype(float))
    first[random.random(people) < early] = 0
    who, when = np.nonzero(random.random((people, periods)) >= gaps)
    role = random.integers(0, roles, people)[who]
    level = random.normal(0, 2, people)[who] + random.normal(0, 1, (roles, periods))[role, when]
    outcome = level + random.normal(size=len(who)) + (when >= first[who]) * (0.5 + 0.1 * when)
    return {
        "person": who,
        "period": when,
        "outcome": outcome,
        "first_treated": first[who],
        "team": (who % teams),
        "role": role,
        "weight": random.uniform(0.5, 2, len(who)),
        "covariates": {"x": random.normal(size=len(who))},
    }


def by_hand(columns, contract):
    """Estimate the average over the horizon by dummies and least squares, row by row."""
    made_of = panel(**columns)
    design = Design(made_of, contract)
    person, cell, since = made_of.person, design.cell, design.since
    dummies = np.column_stack([np.eye(made_of.people)[person], np.eye(design.cells)[cell], made_of.covariates])
    free = since < 0
    root = np.sqrt(made_of.weight[free])
    fitted, *_ = np.linalg.lstsq(dummies[free] * root[:, None], made_of.outcome[free] * root)
    without_people = dummies.copy()
    without_people[:, : made_of.people] = 0
    flat = made_of.outcome - without_people @ fitted
    total = weight = 0.0
    for row in imputation.estimate(made_of, contract).rows["horizon"]:
        clean = (person == person[row]) & (since < -contract.exclude_before) & (since < 0)
        own = np.average(flat[clean], weights=made_of.weight[clean])
        total += made_of.weight[row] * (flat[row] - own)
        weight += made_of.weight[row]
    return total / weight


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("window", [0, 2])
def test_estimate_is_that_of_dummies_row_by_row(seed, window):
    columns = made(seed, roles=2)
    contract = replace(PLAIN, exclude_before=window, horizon=4)
    found = imputation.estimate(panel(**columns), contract).value("horizon")
    assert found == pytest.approx(by_hand(columns, contract), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_replicates_are_estimates_without_the_team(seed):
    columns = made(seed, people=30, teams=6, roles=2)
    contract = replace(PLAIN, exclude_before=1, horizon=3)
    whole = imputation.estimate(panel(**columns), contract)
    for team in range(6):
        kept = columns["team"] != team
        rest = {name: column[kept] for name, column in columns.items() if name != "covariates"}
        rest["covariates"] = {"x": columns["covariates"]["x"][kept]}
        alone = imputation.estimate(panel(**rest), contract)
        for name in ("horizon", "dip", "slope", "adjusted", "cov:x"):
            expected, found = alone.value(name), whole.column(name)[team]
            assert found == pytest.approx(expected, abs=1e-8, nan_ok=True), name


def test_a_team_without_which_a_period_has_no_comparison_takes_its_rows_with_it():
    columns = made(1, people=20, teams=5, never=0.0, gaps=0.0)
    last = columns["first_treated"][columns["person"]].max()
    only = np.unique(columns["person"][columns["first_treated"] == last])
    columns["team"] = np.where(np.isin(columns["person"], only), 4, columns["person"] % 4)
    contract = replace(PLAIN, horizon=None)
    whole = imputation.estimate(panel(**columns), contract)
    kept = columns["team"] != 4
    rest = {name: column[kept] for name, column in columns.items() if name != "covariates"}
    rest["covariates"] = {"x": columns["covariates"]["x"][kept]}
    alone = imputation.estimate(panel(**rest), contract)
    assert whole.column("horizon")[4] == pytest.approx(alone.value("horizon"), abs=1e-8)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    gaps=st.sampled_from([0.0, 0.1, 0.4]),
    early=st.sampled_from([0.0, 0.2]),
    never=st.sampled_from([0.2, 0.6]),
)
def test_equals_diff_diff(seed, gaps, early, never):
    columns = made(seed, people=25, periods=6, gaps=gaps, early=early, never=never)
    frame = pd.DataFrame({name: columns[name] for name in ("person", "period", "outcome")})
    frame["first"] = np.where(np.isinf(columns["first_treated"]), 0, columns["first_treated"] + 1)
    frame["period"] += 1
    given_columns = {name: columns[name] for name in ("person", "period", "outcome", "first_treated")}
    fit = imputation.estimate(panel(**given_columns), PLAIN)
    # Where not all is linked with all, diff-diff takes the missing levels from an arbitrary normalisation.
    free = fit.fit.design.untrained
    linked = fit.fit.solution.component[fit.fit.design.cell[free]]
    assume(len(fit.fit.used) == len(fit.fit.design.after) - _rows_of_always(fit))
    assume((linked == linked[0]).all())
    assume(len(fit.fit.used) > 3)
    try:
        oracle = _quiet(lambda: diff_diff.ImputationDiD().fit(frame, "outcome", "person", "period", "first"))
    except ValueError:
        assume(False)
    assert fit.value("all") == pytest.approx(oracle.overall_att, abs=1e-6)
    assert influence.standard_errors(fit.fit, fit.fit.used)[1] == pytest.approx(oracle.overall_se, abs=1e-6)


def _rows_of_always(fit):
    design = fit.fit.design
    has = np.isin(design.panel.person[design.after], design.panel.person[design.untrained])
    return int((~has).sum())


def test_two_stage_error_equals_diff_diff():
    columns = made(3, gaps=0.0)
    frame = pd.DataFrame({name: columns[name] for name in ("person", "period", "outcome", "team")})
    frame["first"] = np.where(np.isinf(columns["first_treated"]), 0, columns["first_treated"] + 1)
    frame["period"] += 1
    given_columns = {name: columns[name] for name in ("person", "period", "outcome", "first_treated")}
    fit = imputation.estimate(panel(**given_columns), PLAIN)
    oracle = _quiet(lambda: diff_diff.TwoStageDiD().fit(frame, "outcome", "person", "period", "first"))
    assert fit.value("all") == pytest.approx(oracle.overall_att, abs=1e-6)
    assert influence.standard_errors(fit.fit, fit.fit.used)[0] == pytest.approx(oracle.overall_se, abs=1e-6)


def _quiet(call):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call()


def castle():
    frame = pd.read_csv(DATA / "castle.csv")
    return panel(
        person=frame.sid.to_numpy(),
        period=frame.year.to_numpy(),
        outcome=frame.l_homicide.to_numpy(),
        first_treated=frame["first"].to_numpy(),
        weight=frame.popwt.to_numpy(),
    )


def test_castle_doctrine_is_as_published():
    fit = imputation.estimate(castle(), PLAIN)
    two_stage, _ = influence.standard_errors(fit.fit, fit.fit.used)
    assert (round(fit.value("all"), 6), round(two_stage, 6)) == (0.075142, 0.035380)


def test_df_het_is_as_published():
    data = np.load(DATA / "df_het.npz")
    units, years = len(data["state"]), len(data["years"])
    made_of = panel(
        person=np.repeat(np.arange(units), years),
        period=np.tile(data["years"], units),
        outcome=data["outcome"].astype(float).ravel(),
        first_treated=np.repeat(np.where(data["first"] > 0, data["first"], np.inf), years),
        team=np.repeat(data["state"], years),
    )
    fit = imputation.estimate(made_of, PLAIN)
    two_stage, conservative = influence.standard_errors(fit.fit, fit.fit.used)
    assert round(fit.value("all"), 4) == 2.2305
    assert (round(two_stage, 4), round(conservative, 4)) == (0.0247, 0.0177)
    assert round(fit.get("all").se, 4) == 0.0250


def estimates(columns, contract=None):
    fit = imputation.estimate(panel(**columns), contract or replace(PLAIN, exclude_before=1, horizon=4, max_groups=5))
    names = ("horizon", "interim", "adjusted", "dip", "slope")
    return np.array([[fit.value(name), fit.get(name).se or 0.0] for name in names])


CHANGES = {
    "shift": lambda c, _: {**c, "outcome": c["outcome"] + 1000.0},
    "relabelled people": lambda c, r: {**c, "person": r.permutation(100)[c["person"]]},
    "relabelled teams": lambda c, _: {**c, "team": np.array(list("hgfedcba"))[c["team"]]},
    "other order of rows": lambda c, r: _permuted(c, r.permutation(len(c["person"]))),
    "other calendar": lambda c, _: {**c, "period": c["period"] + 2000, "first_treated": c["first_treated"] + 2000},
    "person effects": lambda c, r: {**c, "outcome": c["outcome"] + r.normal(0, 9, 100)[c["person"]]},
    "role x period effects": lambda c, r: {
        **c,
        "outcome": c["outcome"] + r.normal(0, 9, (2, 9))[c["role"], c["period"]],
    },
    "other weights' unit": lambda c, _: {**c, "weight": c["weight"] * 12.5},
}


NO_TEAMS = ("relabelled teams", 40)


def _permuted(columns, order):
    moved = {name: column[order] for name, column in columns.items() if name != "covariates"}
    return {**moved, "covariates": {"x": columns["covariates"]["x"][order]}}


@pytest.mark.parametrize(
    ("change", "teams"), [(change, teams) for change in CHANGES for teams in (8, 40) if (change, teams) != NO_TEAMS]
)
def test_nothing_changes_with(change, teams):
    columns = made(5, roles=2, people=40)
    columns["team"] = columns["person"] % 8 if teams == 8 else columns["person"]
    moved = CHANGES[change](columns, np.random.default_rng(7))
    if teams == 40:
        moved["team"] = moved["person"]
    assert estimates(moved) == pytest.approx(estimates(columns), abs=1e-7)


def test_estimates_scale_with_the_metric():
    columns = made(6, roles=2)
    assert estimates({**columns, "outcome": -3 * columns["outcome"]})[:, 0] == pytest.approx(
        -3 * estimates(columns)[:, 0]
    )
    assert estimates({**columns, "outcome": -3 * columns["outcome"]})[:, 1] == pytest.approx(
        3 * estimates(columns)[:, 1]
    )


def test_adding_an_effect_adds_it():
    columns = made(7, roles=2)
    since = columns["period"] - columns["first_treated"]
    more = estimates({**columns, "outcome": columns["outcome"] + 2.5 * (since >= 0)})
    assert more[0] == pytest.approx(estimates(columns)[0] + [2.5, 0])


def test_a_weak_spell_inside_the_window_does_not_become_an_effect():
    columns = made(8, roles=1, gaps=0.0)
    since = columns["period"] - columns["first_treated"]
    dipped = {**columns, "outcome": columns["outcome"] - 5.0 * (since == -1)}
    alone = replace(PLAIN, exclude_before=1, horizon=4)
    moved = estimates(dipped, alone)[0, 0] - estimates(columns, alone)[0, 0]
    without = replace(PLAIN, exclude_before=0, horizon=4)
    naive = estimates(dipped, without)[0, 0] - estimates(columns, without)[0, 0]
    assert abs(moved) < 0.35 * abs(naive)


def test_a_constant_metric_has_no_error():
    columns = made(9)
    assert (
        imputation.estimate(panel(**{**columns, "outcome": 7.0 + 0 * columns["outcome"]}), PLAIN).get("all").se is None
    )


def test_training_grants_are_as_published():
    frame = pd.read_csv(DATA / "jtrain.csv")
    first = frame.fcode.map(frame[frame.grant == 1].groupby("fcode").year.min())
    columns = {"person": frame.fcode, "period": frame.year, "outcome": frame.lscrap, "first_treated": first}
    fit = imputation.estimate(panel(**{name: column.to_numpy() for name, column in columns.items()}), PLAIN)
    conservative = influence.standard_errors(fit.fit, fit.fit.used)[1]
    assert (round(fit.value("all"), 3), round(conservative, 3)) == (-0.331, 0.189)
    assert (fit.counts.people, fit.counts.teams, fit.counts.unseen) == (54, 54, 103)


def test_many_roles_are_solved_sparsely_to_the_same(monkeypatch):
    columns = made(4, roles=2)
    dense = estimates(columns)
    monkeypatch.setattr(fixed_effects, "MOST_DENSE", 0)
    assert estimates(columns) == pytest.approx(dense, abs=1e-9)
