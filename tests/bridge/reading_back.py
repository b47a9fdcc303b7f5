"""Reading sentences back: each is known, and each figure in it is the one of the result that it stands for."""

import math
import re

import pytest

NUMBER = r"[+-]?\d+(?:\.\d+)?"
SHARE = rf"({NUMBER}) ?%"


def read(content, *, period="week", others=None):
    """Hold all sentences of a result, as its JSON, against its numbers; `others`: the results of the same contract."""
    reader = _Reader(content, period, list((others or {"": content}).values()))
    verdict = content["verdict"]
    lines = [reader.take(sentence) for sentence in verdict["sentences"]]
    assert lines[0] in {"claim", "no effect", "cannot tell"}
    if verdict["grade"] == "not enough evidence":
        assert lines[0] == "cannot tell"
        told = [code for code in lines if code.startswith("R") or code == "inconclusive"]
        assert told == [reason["code"] for reason in verdict["reasons"]]
        assert told
    else:
        assert lines[0] == ("no effect" if verdict["grade"] == "no effect seen" else "claim")
    return lines


class _Reader:
    def __init__(self, content, period, family):
        self.content, self.period, self.family = content, period, family
        metric = content["metric"]
        self.metric, self.words = metric, metric["title"] or metric["name"]
        units = {"log": " %", "rate": " percentage points"}
        unit = units.get(metric["family"], f" {metric['unit']}" if metric["unit"] else "")
        first, rest = self.words[:1], self.words[1:]
        self.name = f"(?:{'|'.join(re.escape(one + rest) for one in (first, first.upper(), first.lower()))})"
        self.unit = re.escape(unit)
        self.change = (
            rf"(?:(?P<verb>rose|fell|changed) by|was|differed by) (?P<middle>{NUMBER}){self.unit}"
            rf"(?: (?P<side>higher|lower))? \(95 % interval (?P<low>{NUMBER}) to (?P<high>{NUMBER})"
        )
        self.amount = rf"({NUMBER}){self.unit}"

    def take(self, sentence):
        """Give what kind of sentence it is, when its figures are right."""
        found = []
        for pattern, check in self._patterns():
            if match := re.fullmatch(pattern, sentence):
                found.append(check(match))
        assert len(found) == 1, (sentence, found)
        return found[0]

    def _patterns(self):
        word, c = self.period, self.content
        span = (
            rf"(?: in the (?:(\d+) {word}s after training|(\d+) {word}s with data since training|{word} of training|"
            rf"one {word} with data since training)| from the first period to the second)?"
        )
        ends = r"\)(?: among the trained than among the untrained| between the trained and the untrained)?"
        compared = r"(?:, compared with [a-z ]+)?"
        return [
            (rf"{self.name} {self.change}{ends}{span}{compared}\.( That is worse, not better\.)?", self._claim),
            (
                rf"Any gain is smaller than your target of {self.amount}: {self.name} {self.change}{ends}{span}\.",
                self._none,
            ),
            (rf"We cannot tell yet whether {self.name} changed because of the training\.", lambda _: "cannot tell"),
            (rf"The estimate so far: {self.name} {self.change}{ends}\. That is no finding\.", self._so_far),
            (
                rf"With (\d+) (?:person|people) trained(?: in (\d+) teams?)? only a change above {self.amount} .*",
                self._detectable,
            ),
            (rf"That is (at least|less than) your target of {self.amount}\.", self._target),
            (rf"Whether your target of {self.amount} was reached is open\.", self._open),
            (rf"Among all sent \({SHARE} of them trained\), {self.name} {self.change}\)\.", self._sent),
            (
                rf"These people were sent after a weak spell; about {SHARE} of the before/after change would .*",
                lambda m: _near(m[1], 100 * c["tests"]["dip_share"], "dip"),
            ),
            (r"This assumes that both groups would otherwise have moved alike; we found no sign .*", self._assumes),
            (r"This takes it that chance decided who was trained(?: first)?; the data .*", lambda _: "chance"),
            (r"Next check: .*", lambda _: "next"),
            *self._reasons(word),
        ]

    def _reasons(self, word):
        counts, contract = self.content["counts"] or {}, self.content.get("contract") or {}
        least = contract.get("min_people", 20)

        def few(key):
            def check(match):
                stated = 1 if match[1] else None
                number = stated or int(match[2] or match[3])
                assert number < least or match[2]
                if counts:  # else they are hidden with the figures
                    assert number == counts[key] if not match[2] else counts[key] < number
                    assert counts[key] < least
                return "R1"

            return check

        who = r"(?:(1) {0} person has|fewer than (\d+) {0} people have|(\d+) {0} people have)"
        after = rf"; {least} are needed\."
        bounded = rf"({NUMBER})(%?)"
        both = rf"{SHARE} among the trained and {SHARE} among the never trained\."
        return [
            (
                r"(?:Nobody was trained in the time that the data cover|There is no value .*|Nobody .* value was .*)\.",
                _is("R0"),
            ),
            (rf"People and {word}s account for all of {self.name}, so no error can be told\.", _is("R0")),
            (r"The metric is the same for everybody, so no error can be told\.", _is("R0")),
            (rf"(?i:{who.format('trained')}) at least \d+ {word}s? before .*{after}", few("trained_enough")),
            (rf"(?i:{who.format('comparison')}) as many {word}s before and after{after}", few("comparison_enough")),
            (rf"(?i:(?:{who.format('trained')}|{who.format('comparison')})) a value{after}", self._groups),
            (
                r"Trained people (?:with enough data )?are in (\d+) teams?(?: \(without .*\))?; (\d+) are needed\.",
                lambda m: _true(int(m[1]) < int(m[2]) and (not counts or int(m[1]) == counts["trained_teams"]), "R2"),
            ),
            (r"Every(?:body was trained in the same|body with a value was trained).*", _is("R3")),
            (rf"{bounded} of the {word}s after training have fewer than .*; at most {bounded} may\.", self._support),
            (rf"(?:Before|Just before) the training, .*?(?:\(p = ({NUMBER}(?:e-\d+)?)\))?[;:] .*", self._design),
            (
                rf"The groups were not alike before: .* differs by ({NUMBER}) .* \(more than ({NUMBER}) is far\).*",
                _larger("R5"),
            ),
            (r"The groups were not alike before: .* tells them apart entirely.*", _is("R5")),
            (r"Whether both groups moved alike before .*|Nobody said that chance decided .*", _is("R5")),
            (r"Another estimate \((.*)\) is more than two standard errors away from this one\.", self._disagrees),
            (
                rf"The smallest change that .* visible is {self.amount}, more than your target of {self.amount}\.",
                self._too_small,
            ),
            (rf"{word.capitalize()}s without a value: {both}", self._lost),
            (rf"People (?:without a value|who left): {both}", self._lost),
            (rf"The identities of {bounded} of the people were matched; {bounded} are needed\.", _smaller("R8")),
            (r"For one group only, this changed meanwhile: .*", _is("R9")),
            (rf"{bounded} of the trained, more than {bounded}, were in .*", _larger_share("R10")),
            (r"(?:Fewer than )?\d+ people are behind the effect; none is shown of fewer than \d+\.", self._hidden),
            (
                r"No error can be told of the estimate: .*",
                lambda _: _true(self.content["att"]["se"] is None, "inconclusive"),
            ),
            (rf"With (\d+) metrics looked at, chance may have made this \(p = ({NUMBER}(?:e-\d+)?)\)\.", self._holm),
            (
                rf"The interval holds no change at all, and (?:no target .*|changes as large as .* of {self.amount})\.",
                self._inconclusive,
            ),
        ]

    # --- what each says ---------------------------------------------------------------------------------------------

    def _claim(self, match):
        self._is_change(match, self.content["att"])
        better = 1 if self.metric["direction"] == "higher" else -1
        is_worse = self.content["att"]["estimate"] * better < 0
        assert bool(re.search("That is worse", match[0])) == is_worse == (self.content["verdict"]["grade"] == "worse")
        assert not self.content["att"]["low"] <= 0 <= self.content["att"]["high"]
        periods = re.search(rf"in the (\d+) {self.period}s", match[0])
        assert periods is None or int(periods[1]) >= 2
        return "claim"

    def _none(self, match):
        self._is_size(match[1], self.content["target"])
        self._is_change(match, self.content["att"])
        assert abs(self.content["att"]["low"]) < self.content["target"] > abs(self.content["att"]["high"])
        return "no effect"

    def _so_far(self, match):
        self._is_change(match, self.content["att"])
        return "so far"

    def _sent(self, match):
        _near(match[1], 100 * self.content["completion_rate"], "")
        self._is_change(match, self.content["itt"])
        return "sent"

    def _detectable(self, match):
        self._is_size(match[3], self.content["detectable"])
        counts = self.content["counts"]
        if counts:
            assert int(match[1]) == counts["used"]
            assert match[2] is None or int(match[2]) == counts["trained_teams"]
        return "detectable"

    def _target(self, match):
        self._is_size(match[2], self.content["target"])
        ends = sorted(abs(self.content["att"][key]) for key in ("low", "high"))
        assert ends[0] >= self.content["target"] if match[1] == "at least" else ends[1] < self.content["target"]
        return "target"

    def _open(self, match):
        self._is_size(match[1], self.content["target"])
        ends = sorted(abs(self.content["att"][key]) for key in ("low", "high"))
        assert ends[0] < self.content["target"] <= ends[1]
        return "target"

    def _assumes(self, _match):
        assert not any(one["tests"] and one["tests"]["slope_contradicts"] for one in self.family)
        return "assumes"

    def _support(self, match):
        counts = self.content["counts"]
        share = 100 * counts["unsupported_rows"] / (counts["treated_rows"] - counts["unlevelled_rows"])
        _near(match[1], share, "")
        assert float(match[1]) > float(match[3]) == 25
        return "R4"

    def _design(self, match):
        tests = [one["tests"] for one in self.family if one["tests"]]
        key = "rise" if match[0].startswith("Just before") else "slope"
        if match[1] is None:
            assert len(tests) < len(self.family)  # one of them is of few people
            return "R5"
        found = [one for one in tests if one[f"{key}_contradicts"] and _same_p(match[1], one[key]["p"])]
        assert found
        assert all(one[key]["p"] < one["level"] for one in found)
        return "R5"

    def _groups(self, match):
        number = int(match[3] or match[6] or 1)
        means = self.content["published"].get("difference") or self.content["published"].get("changes")
        if means and not (match[2] or match[5]):
            assert number in (means["treated"], means["comparison"])
        return "R1"

    def _disagrees(self, match):
        [one] = [one for one in self.content["opinions"] if one["name"] == match[1]]
        away = abs(one["interval"]["estimate"] - self.content["att"]["estimate"])
        assert away > 2 * max(one["interval"]["se"], self.content["att"]["se"])
        return "R6"

    def _too_small(self, match):
        assert float(match[1]) > float(match[2])
        self._is_size(match[1], self.content["detectable"])
        self._is_size(match[2], self.content["target"])
        assert self.content["detectable"] > self.content["target"]
        return "R7"

    def _lost(self, match):
        key = "leavers" if "who left" in match[0] else "missing"
        lost = self.content["attrition"][key]
        _near(match[1], 100 * lost["trained"], "")
        _near(match[2], 100 * lost["comparison"], "")
        assert abs(lost["trained"] - lost["comparison"]) > 0.05
        return "R8"

    def _hidden(self, _match):
        assert self.content["att"]["estimate"] is None
        return "R11"

    def _holm(self, match):
        assert int(match[1]) == len(self.family)
        assert _same_p(match[2], self.content["p_holm"])
        assert self.content["att"]["p"] < 0.05 <= self.content["p_holm"]
        return "inconclusive"

    def _inconclusive(self, match):
        effect = self.content["att"]
        assert effect["low"] <= 0 <= effect["high"]
        if match[1]:
            self._is_size(match[1], self.content["target"])
            assert max(abs(effect["low"]), abs(effect["high"])) >= self.content["target"]
        else:
            assert self.content["target"] is None
        return "inconclusive"

    # --- figures --------------------------------------------------------------------------------------------------

    def _said(self, effect):
        """Give a figure as it is said: points, or per cent of what it was."""
        match self.metric["family"]:
            case "log":
                return 100 * math.expm1(effect)
            case "rate":
                return 100 * effect
        return effect

    def _is_change(self, match, interval):
        sign = -1 if match["verb"] == "fell" or match["side"] == "lower" else 1
        step = _step(match["middle"])
        ends = sorted(sign * float(match[key]) for key in ("low", "high"))
        assert sign * float(match["middle"]) == pytest.approx(self._said(interval["estimate"]), abs=step)
        assert ends == pytest.approx([self._said(interval[key]) for key in ("low", "high")], abs=step)
        holds_none = interval["low"] <= 0 <= interval["high"]
        neutral = match["verb"] == "changed" or (match["verb"] is None and match["side"] is None)
        assert neutral == holds_none

    def _is_size(self, written, size):
        sign = 1 if self.metric["direction"] == "higher" else -1
        assert float(written) == pytest.approx(abs(self._said(sign * size)), abs=_step(written))


def _step(written):
    """Give half of the last digit that is written."""
    return 0.5000001 * 10 ** -(len(written.split(".")[1]) if "." in written else 0)


def _near(written, value, kind):
    assert float(written) == pytest.approx(value, abs=_step(written))
    return kind


def _same_p(written, value):
    return float(written) == pytest.approx(value, rel=0.06, abs=1e-300)


def _true(holds, kind):
    assert holds
    return kind


def _is(kind):
    return lambda _: kind


def _larger(kind):
    return lambda match: _true(float(match[1]) > float(match[2]), kind)


def _larger_share(kind):
    return lambda match: _true(float(match[1]) > float(match[3]), kind)


def _smaller(kind):
    return lambda match: _true(float(match[1]) < float(match[3]), kind)
