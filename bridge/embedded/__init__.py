"""Real PostgreSQL and Valkey of our own, run from their wheels under one data directory.

    with EmbeddedServers(data_dir) as servers:
        create_engine(servers.database_url)

`running` finds the servers that another process has up in a directory.
"""

from bridge.embedded.errors import DirectoryInUse, ServerFailed
from bridge.embedded.server import Server
from bridge.embedded.servers import EmbeddedServers, Servers, running

__all__ = ["DirectoryInUse", "EmbeddedServers", "Server", "ServerFailed", "Servers", "running"]
