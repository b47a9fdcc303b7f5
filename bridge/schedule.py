"""Everything that runs by the clock, in one list."""

import logging
import time
from types import FrameType

from redis import ConnectionError, Redis  # noqa: A004 - redis's own, not the built-in one
from rq.cron import CronScheduler
from rq.exceptions import StopRequested

from bridge import jobs
from bridge.bells import JOB_SECONDS, Job
from bridge.settings import Settings

log = logging.getLogger(__name__)

BROKER_SECONDS = 5

PERIODIC: tuple[tuple[Job, str, int], ...] = (
    # job, queue, seconds between bells
    (jobs.load_documents, "facts", 10),
    (jobs.map_items, "facts", 10),
    (jobs.build_records, "facts", 10),
    (jobs.pull_due, "sources", 10),
    (jobs.backfill_due, "sources", 10),
    (jobs.complete_webhooks, "sources", 10),
    (jobs.convert_live_events, "sources", 10),
    (jobs.deliver_due, "deliveries", 30),
    (jobs.forward_due, "deliveries", 10),
    (jobs.publish, "deliveries", 60),
    (jobs.publish_health, "deliveries", 300),
    (jobs.estimate_impacts, "facts", 3600),
    (jobs.tidy, "deliveries", 3600),
    (jobs.reconcile_due, "sources", 3600),
    (jobs.erase_due, "sources", 60),
)


class _Scheduler(CronScheduler):
    """RQ's scheduler, which remembers that it was told to stop: taking leave of a broker that is away fails."""

    told_to_stop = False

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        self.told_to_stop = True
        super()._request_stop(signum, frame)  # type: ignore[no-untyped-call]  # RQ leaves it without annotations


def run(settings: Settings) -> None:
    """Ring the bells until told to stop (SIGTERM or SIGINT); any number of schedulers may run.

    A broker that is away is waited for: it may come back empty, and the bells are all rung again.
    """
    scheduler = _Scheduler(Redis.from_url(settings.redis_url), logging_level=logging.WARNING)
    for job, queue, seconds in PERIODIC:
        # Expires when the next one is due: bells must not pile up while no worker runs.
        scheduler.register(job, queue, interval=seconds, ttl=seconds, job_timeout=JOB_SECONDS, result_ttl=0)
    try:
        while _rang_until_cut_off(scheduler):
            time.sleep(BROKER_SECONDS)
    except StopRequested:
        return


def _rang_until_cut_off(scheduler: _Scheduler) -> bool:
    """Ring until told to stop, then give False; True when the broker has gone away."""
    try:
        scheduler.start()  # type: ignore[no-untyped-call]  # as above
    except ConnectionError as error:
        if scheduler.told_to_stop:
            return False
        log.warning("The broker does not answer (%s); trying again in %d s.", error, BROKER_SECONDS)
        return True
    return False
