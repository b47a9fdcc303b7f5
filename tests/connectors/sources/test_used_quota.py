"""What an answer says is used up, as a share, and refusals that only mean: too much."""

from datetime import timedelta
from pathlib import Path

import pytest
import responses
from helpdesk import BASE_URL, DOCUMENT, NOON, FakeClock

from connectors import Reach, Secrets, load_source
from connectors.documents import validate
from connectors.errors import ConfigError, SourceUnavailable
from connectors.sources.quota import Quota, QuotaSchema

LIMITS = {"used": "Sforce-Limit-Info", "used_as": "api-usage", "up_to": 0.8, "per": "1h"}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("api-usage=18/5000", 0),
        ("api-usage=3999/5000", 0),
        ("api-usage=4000/5000", 3600),
        ("api-usage=10018/100000; api-bursts=700/750", 0),  # the other figures are not ours
        ("per-app-api-usage=249/250(appName=lrs); api-usage=18/5000", 0),
        ("api-bursts=1/750; api-usage = 90000/100000", 3600),
        ("api-usage=0/0", 0),
        ("unlimited", 0),
    ],
)
def test_share_that_is_used_is_read_by_its_name(said, seconds):
    quota = Quota(validate(QuotaSchema(), LIMITS), "acme")

    quota.learn({"Sforce-Limit-Info": said}, NOON)

    assert quota.take(NOON) == seconds
    assert quota.take(NOON + timedelta(hours=1)) == 0


def test_first_figures_count_where_no_name_is_given():
    quota = Quota(validate(QuotaSchema(), {"used": "X-Used", "per": "10s"}), "acme")

    quota.learn({"X-Used": "80/100"}, NOON)

    assert quota.take(NOON) == 10


@pytest.mark.parametrize("share", [0, 1.5, "much"])
def test_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="no share"):
        validate(QuotaSchema(), LIMITS | {"up_to": share})


def test_refusal_that_only_means_too_much_is_told_as_busy():
    clock, secrets = FakeClock(), Secrets({}, Path("/nowhere"))
    limits = {"used": "Sforce-Limit-Info", "per": "1h", "busy": "REQUEST_LIMIT_EXCEEDED"}
    source = load_source(DOCUMENT | {"quota": limits}, base=Path("/base"), reach=Reach(secrets, clock))
    said = [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}]

    with responses.RequestsMock() as mock:
        mock.add(responses.GET, f"{BASE_URL}/tickets", status=403, json=said)
        with pytest.raises(SourceUnavailable, match="403, REQUEST_LIMIT_EXCEEDED: there were too many") as caught:
            list(source.pull(None))

    assert caught.value.retry_after == 3600
    assert clock.slept == []
