"""The embedded servers: where they live, who owns them, and what they survive."""

import redis
from sqlalchemy import NullPool, create_engine, text


def test_both_servers_answer_at_their_urls(servers):
    with create_engine(servers.database_url, poolclass=NullPool).connect() as connection:
        version = connection.scalar(text("show server_version_num"))
    with redis.Redis.from_url(servers.redis_url) as client:
        answered = client.ping()

    assert int(version) >= 180000
    assert answered
