"""Each rule of refusal, through the command: it alone fires on its case, and none does on the neighbour."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from bridge.cli import commands

WEEKS, SIZE = 40, 10
COLUMNS = ["--person", "who", "--period", "week", "--outcome", "score", "--first-treated", "trained"]
COLUMNS += ["--team", "crew", "--role", "job"]


class Company:
    """Crews of ten for 40 weeks, every second person trained in week 20 or 24, which helps by 1.

    Crews take turns in the two jobs. Deterministic but for noise, so that cases differ from neighbours in one thing.
    """

    def __init__(self, crews: int = 16, *, noise: float = 1.0, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.people = crews * SIZE
        self.crew = np.arange(self.people) // SIZE
        self.job = self.crew % 2
        place = np.arange(self.people) % SIZE
        self.trained = np.where(place % 2 == 0, np.where(place % 4 == 0, 20, 24), 0)
        self.weeks = np.arange(1, WEEKS + 1)
        self.quiet = random.normal(0, 2, self.people)[:, None] + random.normal(0, noise, (self.people, WEEKS))
        self.missing = np.zeros((self.people, WEEKS), bool)

    def who_is_trained(self, weeks: list[int]) -> "Company":
        """Train in each crew those who have a week here, in order."""
        place = np.arange(self.people) % SIZE
        self.trained = np.array([*weeks, *[0] * (SIZE - len(weeks))])[place]
        return self

    @property
    def since(self) -> np.ndarray:
        moment = np.where(self.trained > 0, self.trained, 10**6)
        return self.weeks[None, :] - moment[:, None]

    def add(self, change: np.ndarray) -> "Company":
        self.quiet = self.quiet + change
        return self

    def without(self, missing: np.ndarray) -> "Company":
        self.missing |= missing
        return self

    def write(self, path) -> None:
        score = self.quiet + 1.0 * (self.since >= 0)
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["who", "week", "trained", "crew", "job", "score"])
            for who in range(self.people):
                for place, week in enumerate(self.weeks.tolist()):
                    value = "" if self.missing[who, place] else repr(float(score[who, place]))
                    rows.writerow([who, week, self.trained[who] or "", self.crew[who], self.job[who], value])


def plain(crews=16, **more):
    return Company(crews, **more)


def crowd(trained: int, comparison: int, crews=20):
    """So many trained and never trained people; the others of the crews have no value at all."""
    made = Company(crews)
    order = np.argsort(np.arange(made.people) % SIZE, kind="stable")
    made.trained[:] = 0
    made.trained[order[:trained]] = 20
    here = np.zeros(made.people, bool)
    here[order[: trained + comparison]] = True
    return made.without(np.repeat(~here[:, None], WEEKS, 1))


def only_in(crews: int):
    """Trained people in so many crews, all of them there."""
    made = plain(seed=2)
    made.trained[made.crew >= crews] = 0
    return made


def thin(untrained: int):
    """In one job all but so many are trained in the same week."""
    made = plain()
    ones = np.flatnonzero(made.job == 1)
    made.trained[ones] = 20
    made.trained[ones[-untrained:]] = 0
    return made


def drifting(slope: float):
    made = plain()
    return made.add(slope * made.weeks[None, :] * (made.trained > 0)[:, None])


def rising(by: float):
    made = plain().who_is_trained([20] * 5)
    return made.add(by * ((made.since >= -6) & (made.since < 0)))


def jumping(by: float):
    """The one week that Callaway and Sant'Anna compare with is odd, and the one before it as odd the other way."""
    made = plain(noise=0.3).who_is_trained([20] * 5)
    return made.add(by * (made.since == -7) - by * (made.since == -8))


def gaps(share: float):
    made = plain()
    lost = np.random.default_rng(3).random(made.quiet.shape) < share
    return made.without(lost & (made.trained > 0)[:, None])


def leavers(of_ten: int):
    made = plain()
    gone = (np.arange(made.people) % SIZE < 2 * of_ten) & (made.trained > 0)
    return made.without(gone[:, None] & (made.weeks > 26)[None, :])


# Where nobody has a level of their own, there are no teams of such people either.
CASES = {
    "R1 trained": ("R1", (crowd(19, 100), ()), (crowd(20, 100), ())),
    "R1 comparison": ("R1", (crowd(100, 19), ()), (crowd(100, 20), ())),
    "R1 after": ("R1", (plain().who_is_trained([38] * 5), ()), (plain().who_is_trained([37] * 5), ())),
    "R1 before": ("R1 R2", (plain().who_is_trained([14] * 5), ()), (plain().who_is_trained([15] * 5), ())),
    "R2": ("R2", (only_in(5), ()), (only_in(6), ())),
    "R3": ("R3", (plain().who_is_trained([20] * 10), ()), (plain().who_is_trained([20] * 8 + [34] * 2), ())),
    "R4": ("R4", (thin(4), ()), (thin(5), ())),
    "R5 trend": ("R5", (drifting(0.02), ()), (drifting(0.0), ())),
    "R5 rise": ("R5", (rising(1.0), ()), (rising(-1.0), ())),
    "R5 rise, chance decided": ("R5", (rising(1.0), ()), (rising(1.0), ("--randomised",))),
    "R6": ("R6", (jumping(1.0), ()), (jumping(0.0), ())),
    "R7": ("R7", (plain(), ("--target", "0.05")), (plain(), ("--target", "0.5"))),
    "R8 weeks": ("R8", (gaps(0.09), ()), (gaps(0.03), ())),
    "R8 people": ("R8", (leavers(1), ()), (leavers(0), ())),
    "R8 identity": ("R8", (plain(), ("--identity-match", "0.89")), (plain(), ("--identity-match", "0.9"))),
    "R9": ("R9", (plain(), ("--changed", "another form in crew 3")), (plain(), ("--changed", ""))),
    "R10": ("R10", (plain(), ("--overlap", "0.21")), (plain(), ("--overlap", "0.2"))),
    "R11": ("R11", (plain(), ("--smallest-group", "81")), (plain(), ("--smallest-group", "80"))),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rule_alone_refuses_its_case_and_none_its_neighbour(tmp_path, case):
    codes, made, neighbour = CASES[case]
    assert answer(tmp_path, *made) == ("not enough evidence", set(codes.split()))
    grade, codes = answer(tmp_path, *neighbour)
    assert (grade in {"strong", "moderate"}, codes) == (True, set())


def answer(tmp_path, company, options):
    path = tmp_path / "panel.csv"
    company.write(path)
    result = CliRunner().invoke(commands, ["impact", "panel", str(path), *COLUMNS, *options, "--json"])
    assert result.exit_code == 0, result.output
    verdict = json.loads(result.stdout)["verdict"]
    return verdict["grade"], {reason["code"] for reason in verdict["reasons"]}
