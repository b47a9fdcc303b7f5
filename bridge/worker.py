"""The RQ worker, whose jobs run inside the application's context."""

from flask import Flask
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.worker import RoundRobinWorker

from bridge.bells import QUEUES
from bridge.settings import Settings


class AppWorker(RoundRobinWorker):
    """A worker that forks for each job; the child opens its own database connections and closes them.

    It takes a job from each queue by turns: with a fixed order a busy machine never came to the last one (seen: bells
    that ring every 10 s took a single worker all of that).
    """

    app: Flask

    def perform_job(self, job: Job, queue: Queue) -> bool:
        with self.app.app_context():
            return bool(super().perform_job(job, queue))


def run(app: Flask, settings: Settings) -> None:
    """Work until told to stop (SIGTERM or SIGINT finishes the job at hand first)."""
    connection = Redis.from_url(settings.redis_url)
    worker = AppWorker([Queue(name, connection=connection) for name in QUEUES], connection=connection)
    worker.app = app
    # RQ tells five lines of each job, also of those that find nothing to do.
    worker.work(logging_level="DEBUG" if settings.log_level == "DEBUG" else "WARNING")
