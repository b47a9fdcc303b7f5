"""What an answer says is used up."""

from datetime import timedelta

import pytest
from helpdesk import NOON

from connectors.documents import validate
from connectors.errors import ConfigError
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
    quota = Quota(validate(QuotaSchema(), LIMITS))

    quota.learn({"Sforce-Limit-Info": said}, NOON)

    assert quota.wait_seconds(NOON) == seconds
    assert quota.wait_seconds(NOON + timedelta(hours=1)) == 0


def test_first_figures_count_where_no_name_is_given():
    quota = Quota(validate(QuotaSchema(), {"used": "X-Used", "per": "10s"}))

    quota.learn({"X-Used": "80/100"}, NOON)

    assert quota.wait_seconds(NOON) == 10


@pytest.mark.parametrize("share", [0, 1.5, "much"])
def test_share_that_is_none_is_refused(share):
    with pytest.raises(ConfigError, match="no share"):
        validate(QuotaSchema(), LIMITS | {"up_to": share})
