"""Files on an SFTP server: the extra `sftp` (paramiko).

The server is known by its key, which stands in the document: no other is spoken to, so no secret goes to one. Nothing
is looked up in ~/.ssh, and no agent is asked.
"""

import base64
import hashlib
import io
import logging
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from connectors.errors import SourceRefused, SourceUnavailable
from connectors.sources.files import Entry, Fingerprint, Reading, still_written

if TYPE_CHECKING:
    import paramiko

CONNECT_SECONDS = 10.0
SILENT_SECONDS = 60.0
"""Between two answers of the server."""
CHUNK_BYTES = 1 << 16
RSA = ("rsa-sha2-512", "rsa-sha2-256")
"""How an ssh-rsa key signs nowadays (RFC 8332)."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where to, as whom, and with what; `password` is that of the key where there is one."""

    host: str
    port: int
    user: str
    host_key: str
    """As a line of known_hosts has it: type and base64."""
    password: str | None = field(repr=False)
    private_key: str | None = field(repr=False)


class SftpStore:
    """The files of a server, over one connection."""

    def __init__(self, client: "paramiko.SFTPClient", login: Login) -> None:
        self._client, self._login = client, login

    def look(self, path: str) -> Entry | None:
        """Ask for its size and time."""
        with _told(self._login, self.shown(path)):
            try:
                return _entry(path, self._client.stat(path))
            except FileNotFoundError:
                return None

    def entries(self, folder: str) -> Iterator[Entry]:
        """List a folder; links are followed."""
        with _told(self._login, self.shown(folder)):
            # Not listdir_iter, which asks ahead: a question in between would be given its answers.
            for found in self._client.listdir_attr(folder or "."):
                path = f"{folder.rstrip('/')}/{found.filename}" if folder else found.filename
                if stat.S_ISLNK(found.st_mode or 0):
                    linked = self.look(path)
                    if linked:
                        yield linked
                elif stat.S_ISREG(found.st_mode or stat.S_IFREG):
                    yield _entry(path, found)

    @contextmanager
    def read(self, path: str, known: Fingerprint | None) -> Iterator[Reading | None]:
        """Copy the file, unless it has the size and time of what was read; it must not change meanwhile."""
        before = self.look(path)
        if before is None:
            remedy = "Wait for the export, or correct `path`, which starts at the server's root."
            raise SourceUnavailable(f"There is no file {self.shown(path)}. {remedy}")
        if known and (known.get("size"), known.get("version")) == (before.size, before.version):
            yield None
            return
        with tempfile.TemporaryFile() as file:
            with _told(self._login, self.shown(path)):
                copied = self._client.getfo(path, file)
                after = self._client.stat(path)
            if (copied, str(after.st_mtime)) != (before.size, before.version) or after.st_size != copied:
                raise still_written(self.shown(path), "it changed while it was read")
            file.seek(0)
            reading = Reading(file, self.shown(path), changed_at=before.changed_at, version=before.version)
            yield None if reading.equals(known) else reading

    def make(self, folder: str) -> None:
        """Make a folder and those above it, unless they are there."""
        with _told(self._login, self.shown(folder), "made"):
            path = "/" if folder.startswith("/") else ""
            for step in filter(None, folder.split("/")):
                path = f"{path}{step}/"
                try:
                    self._client.stat(path)
                except FileNotFoundError:
                    # Somebody else may have made it just now; if not, what comes next says what is wrong.
                    with suppress(OSError):
                        self._client.mkdir(path)

    def names(self, folder: str) -> list[str]:
        """Give the names of all that is in a folder."""
        with _told(self._login, self.shown(folder)):
            return self._client.listdir(folder or ".")

    def holds(self, path: str, *, size: int, sha256: str) -> bool:
        """Tell whether a file has these bytes; it is read for that where its size is right."""
        with _told(self._login, self.shown(path)):
            try:
                if self._client.stat(path).st_size != size:
                    return False
            except FileNotFoundError:
                return False
            digest = hashlib.sha256()
            with self._client.open(path, "rb") as file:
                file.prefetch(size)
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
            return digest.hexdigest() == sha256

    def write(self, path: str, file: BinaryIO, *, size: int, mode: int) -> None:
        """Write a file, and look whether all of it is there."""
        with _told(self._login, self.shown(path), "written"):
            self._client.putfo(file, path, size)
            # Stores behind such servers may have no permissions to set; those of the folder hold then.
            with suppress(OSError):
                self._client.chmod(path, mode)

    def rename(self, path: str, to: str) -> None:
        """Put a file in another's place, at once: by OpenSSH's extension, or where renaming does so by itself."""
        with _told(self._login, self.shown(to), "written"):
            try:
                self._client.posix_rename(path, to)
            except OSError as err:
                if isinstance(err, PermissionError):
                    raise
                self._rename_plainly(path, to)

    def remove(self, path: str) -> None:
        """Remove a file, unless it is gone."""
        with _told(self._login, self.shown(path), "removed"), suppress(FileNotFoundError):
            self._client.remove(path)

    def shown(self, path: str) -> str:
        """Give its address."""
        return f"sftp://{self._login.host}/{path.lstrip('/')}"

    def _rename_plainly(self, path: str, to: str) -> None:
        try:
            self._client.rename(path, to)
        except OSError as err:
            try:
                self._client.stat(to)
            except FileNotFoundError:
                raise err from None
            what = f"The server does not let {self.shown(to)} be replaced at once, and readers must not miss it."
            raise SourceRefused(f"{what} It needs posix-rename@openssh.com, as OpenSSH has it.") from err


@contextmanager
def connected(login: Login) -> Iterator[SftpStore]:
    """Log in; raises SourceRefused for another server than the one meant, before anything secret is sent."""
    try:
        import paramiko
    except ImportError as err:
        raise SourceRefused("Files on SFTP servers need paramiko: pip install 'lrs-bridge[sftp]'.") from err
    # It tells each failure with a stack, which we tell ourselves.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    with _told(login, f"sftp://{login.host}"):
        wire = socket.create_connection((login.host, login.port), timeout=CONNECT_SECONDS)
        with closing(paramiko.Transport(wire)) as transport:
            transport.banner_timeout = transport.auth_timeout = CONNECT_SECONDS
            kind, _, written = login.host_key.partition(" ")
            transport.get_security_options().key_types = RSA if kind == "ssh-rsa" else (kind,)
            transport.start_client(timeout=CONNECT_SECONDS)
            _check_key(transport.get_remote_server_key(), base64.b64decode(written), login)
            if login.private_key is None:
                transport.auth_password(login.user, login.password or "", fallback=False)
            else:
                transport.auth_publickey(login.user, _key(login.private_key, login.password))
            client = paramiko.SFTPClient.from_transport(transport)
            if client is None:
                raise SourceUnavailable(f"sftp://{login.host} opens no channel. It is tried again later.")
            with closing(client):
                channel = client.get_channel()
                if channel is not None:
                    channel.settimeout(SILENT_SECONDS)
                yield SftpStore(client, login)


def _check_key(shown: "paramiko.PKey", expected: bytes, login: Login) -> None:
    if shown.asbytes() != expected:
        what = f"The server at {login.host} shows another key than `access.host_key`: {shown.get_name()}"
        remedy = "If its admin confirms that it was renewed, write this one; else do not."
        raise SourceRefused(f"{what} {shown.get_base64()}. {remedy}")


def _key(text: str, password: str | None) -> "paramiko.PKey":
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text + "\n"), password)
        except paramiko.PasswordRequiredException as err:
            raise SourceRefused("The private key is locked. Name its password in `access.password`.") from err
        except (paramiko.SSHException, ValueError):
            continue
    remedy = "Use an OpenSSH key of type ed25519, ecdsa or rsa, and check `access.password`."
    raise SourceRefused(f"The secret in `access.private_key` is no private key that can be read. {remedy}")


def _entry(path: str, found: "paramiko.SFTPAttributes") -> Entry:
    return Entry(path, found.st_size or 0, str(found.st_mtime), found.st_mtime)


@contextmanager
def _told(login: Login, place: str, deed: str = "read") -> Iterator[None]:
    """Say what happened in our words; `deed` is what was to be done to the place."""
    import paramiko

    try:
        yield
    except paramiko.AuthenticationException as err:
        what = f"sftp://{login.host} does not let {login.user!r} in."
        raise SourceRefused(f"{what} Check the user and the secret in `access`.") from err
    except paramiko.ssh_exception.IncompatiblePeer as err:
        what = f"sftp://{login.host} has no key of the type in `access.host_key`, or speaks too old a protocol ({err})."
        raise SourceRefused(f"{what} Ask its admin for a line of `ssh-keyscan {login.host}`.") from err
    except FileNotFoundError as err:
        remedy = "Wait for the export, or correct `path`, which starts at the server's root."
        raise SourceUnavailable(f"There is no {place}. {remedy}") from err
    except PermissionError as err:
        raise SourceRefused(f"{place} may not be {deed} by {login.user!r}. Ask the server's admin.") from err
    except (paramiko.SSHException, OSError, EOFError) as err:
        said = str(err) or type(err).__name__
        raise SourceUnavailable(f"{place} cannot be reached, or stopped half-way ({said}).") from err
