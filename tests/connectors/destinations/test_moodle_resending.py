"""A Moodle is asked to send again what its logstore could not, where its document says so."""

from typing import Any

import moodle_site
import pytest
import responses
from helpdesk import FakeClock
from moodle_site import URL, MoodleSite

from connectors import ConfigError, DestinationRefused
from connectors.destinations.moodle import Moodle
from connectors.lms import Resends

COURSE = f"{URL}/course/view.php?id=2"


class Logstore:
    """Events that failed, by course; what is put back is no failed one any more."""

    def __init__(self) -> None:
        self.installed = True
        self.failed = {2: 3, 5: 1}
        self.since: list[int] = []

    def resend(self, courseid: str, since: str) -> dict[str, Any]:
        self.since.append(int(since))
        return {"installed": self.installed, "events": self.failed.pop(int(courseid), 0) if self.installed else 0}


@pytest.fixture
def logstore():
    return Logstore()


@pytest.fixture
def site(logstore):
    made = MoodleSite(functions={"local_lrsbridge_resend_failed": logstore.resend})
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.add_callback(responses.POST, moodle_site.ADDRESS, callback=made.answer)
        yield made


def moodle(**keys: Any) -> Moodle:
    return moodle_site.destination(FakeClock(), **keys)


def test_events_of_the_course_alone_are_sent_again(site, logstore):
    there = moodle(resend=True)

    assert isinstance(there, Resends)
    assert there.resend(COURSE) == 3
    assert there.resend(COURSE) == 0
    assert logstore.failed == {5: 1}
    assert logstore.since == [int(FakeClock().now().timestamp()) - 30 * 86_400] * 2


def test_nothing_is_asked_for_unless_the_document_says_so(site):
    assert moodle().resend(COURSE) is None
    assert site.asked == []


def test_a_moodle_without_the_logstore_is_told(site, logstore):
    logstore.installed = False

    with pytest.raises(DestinationRefused, match=r"has no logstore_xapi.*or take `resend` out"):
        moodle(resend=True).resend(COURSE)


def test_a_plugin_that_cannot_is_told(site):
    site.faults.append(
        moodle_site.error("invalidrecord", "Can't find data record in database table external_functions.")
    )

    with pytest.raises(DestinationRefused, match="install or update the plugin"):
        moodle(resend=True).resend(COURSE)


def test_yes_is_no_answer():
    with pytest.raises(ConfigError, match="neither true nor false"):
        moodle(resend="yes")
