"""Where reports go as files in tests: a folder, a real SFTP server, an S3 server; all of them read alike."""

from pathlib import Path

import paramiko
from s3_server import S3Server
from sftp_server import SftpServer

from connectors import Column, ColumnType, Report, Secrets, load_destination
from connectors.reach import Reach

COLUMNS = (Column("learner", "Learner"), Column("hours", "Hours to resolve", "h", type=ColumnType.NUMBER))
ROWS = [{"learner": "Ann Müller", "hours": 2.5}, {"learner": "Bob", "hours": None}]
KEY = paramiko.ECDSAKey.generate()
NAMES = ["team.csv", "team.json", "team.manifest.json", "team.parquet"]


def report(rows=ROWS, name="team"):
    return Report(name, "Team", "No effect.", COLUMNS, iter(rows), metadata={"program": "basics"})


class Local:
    """A folder."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.folder = tmp_path, tmp_path / "out"
        self.document = {"type": "directory", "path": "out"}

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()} if self.folder.exists() else {}

    def written(self) -> dict[str, object]:
        return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in self.folder.iterdir()}

    def close(self) -> None:
        pass


class Sftp(Local):
    """A folder on a server."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.folder = tmp_path, tmp_path / "server" / "reports" / "new"
        (tmp_path / "server").mkdir()
        self.server = SftpServer(tmp_path / "server", [KEY])
        self.server.writable = True
        self.document = {
            "type": "sftp",
            "path": f"sftp://exports@127.0.0.1:{self.server.port}/reports/new",
            "access": {"host_key": f"{KEY.get_name()} {KEY.get_base64()}", "password": {"secret": "drop"}},
        }

    def close(self) -> None:
        self.server.close()


class S3(Local):
    """A bucket."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.server = S3Server("AKIDTEST", "s3cret")
        self.document = {
            "type": "s3",
            "path": "s3://acme-bi/reports",
            "allow_private": ["127.0.0.1"],
            "access": {
                "endpoint": self.server.url,
                "access_key_id": "AKIDTEST",
                "secret_access_key": {"secret": "drop"},
            },
        }

    def files(self) -> dict[str, bytes]:
        return {name.removeprefix("acme-bi/reports/"): data for name, data in self.server.objects.items()}

    def written(self) -> dict[str, object]:
        return {"put": len(self.server.put)}

    def close(self) -> None:
        self.server.close()


def load(store, *, secret="s3cret", **keys):  # noqa: S107
    document = {"kind": "destination", "name": "lake", "formats": ["csv", "json", "parquet"]} | store.document | keys
    reach = Reach(Secrets({"LRS_BRIDGE_SOURCE_DROP": secret}))
    return load_destination(document, base=store.tmp_path, reach=reach)
