"""Everything that runs by the clock, in one list."""

import logging

from redis import Redis
from rq.cron import CronScheduler

from bridge import jobs
from bridge.bells import JOB_SECONDS, Job
from bridge.settings import Settings

PERIODIC: tuple[tuple[Job, str, int], ...] = (
    # job, queue, seconds between bells
    (jobs.load_documents, "facts", 10),
    (jobs.map_items, "facts", 10),
    (jobs.build_records, "facts", 10),
    (jobs.pull_due, "sources", 10),
    (jobs.deliver_due, "deliveries", 30),
)


def run(settings: Settings) -> None:
    """Ring the bells until told to stop (SIGTERM or SIGINT); any number of schedulers may run."""
    scheduler = CronScheduler(Redis.from_url(settings.redis_url), logging_level=logging.WARNING)
    for job, queue, seconds in PERIODIC:
        # Expires when the next one is due: bells must not pile up while no worker runs.
        scheduler.register(job, queue, interval=seconds, ttl=seconds, job_timeout=JOB_SECONDS, result_ttl=0)
    scheduler.start()  # type: ignore[no-untyped-call]  # RQ leaves it without annotations
