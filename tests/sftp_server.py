"""A real SFTP server on loopback, in this process, whose files are a folder; it can be told to misbehave."""

import io
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import paramiko


class Files(paramiko.SFTPServerInterface):
    """The files of a folder."""

    def __init__(self, server: "Door") -> None:
        super().__init__(server)
        self.owner = server.owner

    def _real(self, path: str) -> Path:
        return self.owner.root / self.canonicalize(path).lstrip("/")

    def _attributes(self, look: Callable[[], os.stat_result]):
        try:
            return paramiko.SFTPAttributes.from_stat(look())
        except OSError as err:
            return paramiko.SFTPServer.convert_errno(err.errno)

    def stat(self, path: str):
        self.owner.asked.append(("stat", path))
        return self._attributes(self._real(path).stat)

    def lstat(self, path: str):
        return self._attributes(self._real(path).lstat)

    def list_folder(self, path: str):
        try:
            listed = sorted(self._real(path).iterdir(), reverse=True)
        except OSError as err:
            return paramiko.SFTPServer.convert_errno(err.errno)
        return [paramiko.SFTPAttributes.from_stat(one.lstat(), one.name) for one in listed]

    def open(self, path: str, flags: int, attr: object):  # noqa: ARG002 - as paramiko calls it
        self.owner.asked.append(("open", path))
        if flags & (os.O_WRONLY | os.O_RDWR):
            return self._open_to_write(path, flags)
        if path in self.owner.forbidden:
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            data = self._real(path).read_bytes()
        except OSError as err:
            return paramiko.SFTPServer.convert_errno(err.errno)
        if self.owner.while_read:
            self.owner.while_read(self._real(path))
        handle = paramiko.SFTPHandle(flags)
        handle.readfile = io.BytesIO(data)
        handle.stat = lambda: self._attributes(self._real(path).stat)
        return handle

    def _open_to_write(self, path: str, flags: int):
        if not self.owner.writable:
            return paramiko.SFTP_PERMISSION_DENIED
        try:
            file = os.fdopen(os.open(self._real(path), flags, 0o666), "wb", buffering=0)
        except OSError as err:
            return paramiko.SFTPServer.convert_errno(err.errno)
        handle = _Written(flags, self.owner)
        handle.writefile = file
        handle.stat = lambda: self._attributes(self._real(path).stat)
        return handle

    def _change(self, deed: str, *paths: str) -> int:
        if not self.owner.writable:
            return paramiko.SFTP_PERMISSION_DENIED
        self.owner.asked.append((deed, paths[0]))
        try:
            {"remove": os.remove, "rename": os.rename, "mkdir": os.mkdir}[deed](*map(self._real, paths))
        except OSError as err:
            return paramiko.SFTPServer.convert_errno(err.errno)
        return paramiko.SFTP_OK

    def remove(self, path: str) -> int:
        return self._change("remove", path)

    def mkdir(self, path: str, attr: object) -> int:  # noqa: ARG002 - as paramiko calls it
        return self._change("mkdir", path)

    def rename(self, oldpath: str, newpath: str) -> int:
        if self._real(newpath).exists():
            return paramiko.SFTP_FAILURE  # as version 3 of the protocol wants it
        return self._change("rename", oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        if not self.owner.replaces:
            return paramiko.SFTP_OP_UNSUPPORTED
        return self._change("rename", oldpath, newpath)

    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        self._real(path).chmod(attr.st_mode)
        return paramiko.SFTP_OK


class _Written(paramiko.SFTPHandle):
    """A file that is written to; `owner.while_written` is called before each piece."""

    def __init__(self, flags: int, owner: "SftpServer") -> None:
        super().__init__(flags)
        self._owner = owner

    def write(self, offset: int, data: bytes) -> int:
        if self._owner.while_written:
            self._owner.while_written(offset)
        if self._owner.full:
            return paramiko.SFTP_FAILURE
        return super().write(offset, data)


class Door(paramiko.ServerInterface):
    """Who is let in."""

    def __init__(self, owner: "SftpServer") -> None:
        self.owner = owner

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - as paramiko calls it
        return "password,publickey"

    def check_auth_password(self, username: str, password: str) -> int:
        self.owner.passwords.append(password)
        return self._answer((username, password) == ("exports", self.owner.password))

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return self._answer(username == "exports" and key == self.owner.user_key)

    def _answer(self, fits: bool) -> int:
        return paramiko.AUTH_SUCCESSFUL if fits else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:  # noqa: ARG002 - as paramiko calls it
        return paramiko.OPEN_SUCCEEDED


class SftpServer:
    """The server; `asked` is what was asked of its files, `passwords` are those it was shown."""

    def __init__(self, root: Path, keys: list[paramiko.PKey]) -> None:
        self.root, self.keys = root, keys
        self.password, self.user_key = "s3cret", None
        self.passwords: list[str] = []
        self.asked: list[tuple[str, str]] = []
        self.forbidden: set[str] = set()
        self.while_read: Callable[[Path], None] | None = None
        self.writable, self.replaces, self.full = False, True, False
        self.while_written: Callable[[int], None] | None = None
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            for key in self.keys:
                transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Files)
            self._transports.append(transport)
            try:
                transport.start_server(server=Door(self))
            except (paramiko.SSHException, EOFError, OSError):  # whoever called has hung up
                transport.close()

    def close(self) -> None:
        """Hang up; once more does no harm."""
        if self._socket.fileno() < 0:
            return
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for transport in self._transports:
            transport.close()
            transport.join(5)
        self._thread.join(5)
