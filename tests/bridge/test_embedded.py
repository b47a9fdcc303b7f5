"""The embedded servers: where they live, who owns them, and what they survive."""

import fcntl
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from bridge.embedded import DirectoryInUse, EmbeddedServers, ServerFailed, Servers, identity, running
from bridge.embedded.addresses import Address
from bridge.embedded.errors import remedy
from bridge.embedded.identity import Identity

ROOT = Path(__file__).parents[2]
OWN = """
import sys
from pathlib import Path
from bridge.embedded import EmbeddedServers
servers = EmbeddedServers(Path(sys.argv[1]), durable=False)
servers.start()
print(*(child.process.pid for child in servers.children), flush=True)
sys.stdin.readline()
servers.stop()
"""
LISTEN = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    """A directory that has been up once; its tests leave it fit for the next."""
    path = tmp_path_factory.mktemp("embedded") / "data"
    with EmbeddedServers(path, durable=False):
        pass
    return path


@pytest.fixture
def copy(data_dir, tmp_path) -> Path:
    """A copy of such a directory, to be ruined."""
    sockets = shutil.ignore_patterns("*.sock", ".s.*")
    return Path(shutil.copytree(data_dir, tmp_path / "copy", ignore=sockets))


@pytest.fixture
def namespaces() -> None:
    """Asked for by tests that need root, and user namespaces that a container may refuse."""
    open_one = ["unshare", "--user", "--map-root-user", "true"]
    if os.geteuid() != 0 or subprocess.run(open_one, capture_output=True, check=False).returncode:
        pytest.skip("needs root and user namespaces")


def query(servers: Servers, sql: str) -> object:
    with create_engine(servers.database_url, poolclass=NullPool).begin() as connection:
        result = connection.execute(text(sql))
        return result.scalar() if result.returns_rows else None


def ping(servers: Servers) -> bool:
    with redis.Redis.from_url(servers.redis_url) as client:
        return client.ping()


def family(servers: EmbeddedServers) -> list[psutil.Process]:
    leaders = [psutil.Process(child.process.pid) for child in servers.children]
    return [process for leader in leaders for process in (leader, *leader.children())]


def seen(servers: EmbeddedServers, look: Callable[[psutil.Process], Iterable]) -> list:
    """What a look at each process gives; a worker may end before its turn."""
    found = []
    for process in family(servers):
        with suppress(psutil.NoSuchProcess):
            found += look(process)
    return found


@contextmanager
def busy_backend(servers: Servers) -> Iterator[int]:
    """A backend that computes, and so does not see at once that its server is gone."""
    client = psycopg.connect(servers.database_url.replace("+psycopg", ""), autocommit=True)
    client.pgconn.send_query(b"select count(*) from generate_series(1, 1000000000)")
    time.sleep(0.1)
    yield client.info.backend_pid
    client.close()


@contextmanager
def child(*command: str | Path, stderr: int | None = None) -> Iterator[subprocess.Popen]:
    """Any process, killed at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr, text=True, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def without_namespaces(*command: str | Path, stderr: int | None = None) -> Iterator[subprocess.Popen]:
    """A process of a root that may open no user namespace, as in a container: this one has used up the last."""
    become_root = 'read _ && exec "$0" "$@"'  # who we are is written from outside; exec then gives root's rights
    use_up = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"'  # of this namespace alone
    shell = ("sh", "-c", become_root, "sh", "-c", use_up)
    with child("unshare", "--user", "--", *shell, *command, stderr=stderr) as process:
        folder = Path("/proc", str(process.pid))
        assert within(5, lambda: (folder / "ns/user").readlink() != Path("/proc/self/ns/user").readlink())
        for ids in ("uid_map", "gid_map"):
            (folder / ids).write_text("0 0 65536")
        process.stdin.write("go\n")
        process.stdin.flush()
        yield process


@contextmanager
def owner(data_dir: Path, *, prefix: tuple[str, ...] = ()) -> Iterator[tuple[subprocess.Popen, list[int]]]:
    """Another process that has the servers of a directory up until it reads a line, with their pids."""
    with child(*prefix, sys.executable, "-c", OWN, data_dir) as process:
        yield process, [int(pid) for pid in process.stdout.readline().split()]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def ended(pids: list[int]) -> bool:
    """Tell whether all have ended; a killed one first loses its command line, by which we know it, and then dies."""
    return within(2, lambda: not any(map(alive, pids)))


def within(seconds: float, true: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


# What runs


def test_both_servers_answer_at_their_urls(servers):
    assert int(query(servers, "show server_version_num")) >= 180000
    assert ping(servers)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("server_encoding", "UTF8"),
        ("timezone", "UTC"),
        ("password_encryption", "scram-sha-256"),
        ("listen_addresses", ""),
        ("max_connections", "100"),
        ("fsync", "off"),  # as the fixture asks
    ],
)
def test_postgresql_is_set_up(servers, setting, value):
    assert query(servers, f"show {setting}") == value


def test_text_is_ordered_by_code_point_and_folded_as_unicode(servers):
    assert query(servers, "select lower('ÅÉ') || ('Z' < 'a')") == "åétrue"


def test_the_queue_keeps_nothing_on_disk_and_evicts_nothing(servers):
    with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
        config = client.config_get("save", "appendonly", "maxmemory-policy")

    assert config == {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}


def test_servers_are_durable_unless_told_otherwise(copy):
    with EmbeddedServers(copy) as servers:
        assert [query(servers, f"show {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")] == [
            "on"
        ] * 3


# Who may come in


def test_a_wrong_password_is_refused(servers):
    wrong = make_url(servers.database_url).set(password="wrong").render_as_string(hide_password=False)

    with pytest.raises(OperationalError, match="password authentication failed"):
        query(replace(servers, database_url=wrong), "select 1")
    with pytest.raises(redis.AuthenticationError):
        ping(replace(servers, redis_url=re.sub(r"//:[^@]+@", "//:wrong@", servers.redis_url)))


def test_all_is_closed_to_other_users(data_dir):
    with EmbeddedServers(data_dir, durable=False):
        modes = {path: path.lstat().st_mode & 0o077 for path in (data_dir, *data_dir.rglob("*"))}

    assert [path for path, mode in modes.items() if mode] == []


def test_nothing_listens_on_the_network(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers:
        connections = seen(servers, lambda process: process.net_connections("inet"))

    assert connections == []


def test_secrets_are_on_no_command_line_and_in_no_environment(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers:
        words = seen(servers, lambda process: [*process.cmdline(), *process.environ().values()])
        words += [word for child in servers.children for word in child.process.args]  # before they changed their titles
        secrets = [child.password for child in servers.children]

    assert not any(secret in word for secret in secrets for word in words)


# Where they may live


@pytest.mark.parametrize("name", ["with a space", "ünï-コード", "quotes ' \" and \\ and %20", "colon:comma,"])
def test_any_path_will_do(copy, name):
    path = copy.rename(copy.with_name(name))

    with EmbeddedServers(path, durable=False) as servers:
        assert query(servers, "select 1") == 1
        assert ping(servers)


def test_a_path_too_long_for_a_socket_means_a_port_on_the_loopback(copy):
    path = copy.parent.joinpath(*["long" * 20] * 5)
    path.parent.mkdir(parents=True)
    copy.rename(path)
    servers = EmbeddedServers(path, durable=False)

    with servers as urls:
        assert query(urls, "select 1") == 1
        assert ping(urls)
        listening = {at.laddr.ip for at in seen(servers, lambda process: process.net_connections("inet"))}

    assert listening == {"127.0.0.1"}


@pytest.mark.parametrize("index", [0, 1], ids=["postgresql", "valkey"])
def test_a_port_that_another_program_took_first_is_given_up_for_another(data_dir, index):
    servers = EmbeddedServers(data_dir, durable=False)
    server = servers.children[index]
    with child(sys.executable, "-c", LISTEN) as other:
        taken = int(other.stdout.readline())
        server.address = Address(server.address.socket, taken)

        with servers as urls:
            assert server.address.port not in {None, taken}
            assert query(urls, "select 1") == 1
            assert ping(urls)


def test_a_path_too_long_for_postgresql_is_refused(tmp_path):
    path = tmp_path.joinpath(*["long" * 50] * 5)

    with pytest.raises(ServerFailed, match="shorter path"):
        EmbeddedServers(path, durable=False).start()


def test_a_folder_of_other_files_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").touch()

    with pytest.raises(ServerFailed, match="new or empty"):
        EmbeddedServers(tmp_path).start()

    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_that_is_open_to_others_is_closed(tmp_path):
    tmp_path.chmod(0o755)

    with EmbeddedServers(tmp_path, durable=False):
        assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_folders_above_are_left_as_they_are(data_dir):
    above = [(path, path.stat().st_mode, path.stat().st_uid) for path in data_dir.parents]

    with EmbeddedServers(data_dir, durable=False):
        pass

    assert [(path, path.stat().st_mode, path.stat().st_uid) for path in data_dir.parents] == above


# Who owns the directory


def test_a_second_instance_is_refused_and_told_of_the_first(data_dir):
    with EmbeddedServers(data_dir, durable=False) as first:
        with pytest.raises(
            DirectoryInUse, match=f"{data_dir} .* process {os.getpid()}: stop it .*--data-dir"
        ) as refused:
            EmbeddedServers(data_dir).start()
        assert query(first, "select 1") == 1

    assert refused.value.pid == os.getpid()


def test_who_does_not_own_the_directory_stops_nothing(data_dir):
    with EmbeddedServers(data_dir, durable=False) as first:
        EmbeddedServers(data_dir).stop()

        assert query(first, "select 1") == 1


def test_a_look_at_the_lock_keeps_no_owner_out(data_dir):
    with (data_dir / "lock").open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        over = threading.Timer(0.03, look.close)
        over.start()

        with EmbeddedServers(data_dir, durable=False) as servers:
            assert query(servers, "select 1") == 1


def test_running_servers_are_found_by_their_directory(data_dir, tmp_path):
    with EmbeddedServers(data_dir, durable=False) as servers:
        found = running(data_dir)

    assert found == servers
    assert running(data_dir) is None
    assert running(tmp_path / "never") is None


def test_what_a_killed_owner_wrote_is_not_taken_for_running_servers(data_dir):
    (data_dir / "servers.json").write_text(json.dumps({"database_url": "x", "redis_url": "y"}))

    assert running(data_dir) is None


# How they end


def test_stop_ends_every_process_and_leaves_no_socket(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers:
        pids = [process.pid for process in family(servers)]

    assert ended(pids)
    assert [path for path in data_dir.rglob("*") if path.is_socket()] == []
    assert not any(child.running() for child in servers.children)


def test_clients_do_not_hold_up_the_stop(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    engine = create_engine(servers.start().database_url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text("select 1"))
        began = time.monotonic()

        servers.stop()

        assert time.monotonic() - began < 5
        connection.invalidate()


def test_a_server_that_heeds_no_signal_is_killed(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    servers.start()
    pids = [process.pid for process in family(servers)]
    for child in servers.children:
        child.stop_steps = ((signal.SIGINT, 0.1),)
        os.kill(child.process.pid, signal.SIGSTOP)

    servers.stop()

    assert ended(pids)


def test_ctrl_c_in_a_terminal_does_not_reach_the_servers(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers:
        groups = {os.getpgid(child.process.pid) for child in servers.children}

    assert os.getpgrp() not in groups


def test_servers_outlive_the_thread_that_started_them(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    thread = threading.Thread(target=servers.start)
    thread.start()
    thread.join()
    time.sleep(0.3)

    assert all(child.running() for child in servers.children)
    servers.stop()


# What they survive


def test_data_and_secrets_are_kept_over_restarts(copy):
    with EmbeddedServers(copy, durable=False) as first:
        query(first, "create table kept as select 42 as answer")

    with EmbeddedServers(copy, durable=False) as second:
        assert query(second, "select answer from kept") == 42
    assert second == first


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next owner ends them")
def test_servers_end_when_their_owner_is_killed(data_dir):
    with owner(data_dir) as (process, pids):
        process.kill()

        assert within(5, lambda: not any(map(alive, pids)))


@pytest.mark.slow
def test_the_next_owner_takes_over_from_a_killed_one(copy):
    with owner(copy) as (process, _):
        query(running(copy), "create table kept as select 42 as answer")
        process.kill()
        process.wait()

        with EmbeddedServers(copy, durable=False) as servers:
            assert query(servers, "select answer from kept") == 42
            assert ping(servers)


def test_servers_that_still_run_are_taken_over(data_dir):
    former = EmbeddedServers(data_dir, durable=False)
    former.start()
    former._directory.release()

    with EmbeddedServers(data_dir, durable=False) as servers:
        assert query(servers, "select 1") == 1
        assert ping(servers)
        assert not any(child.running() for child in former.children)


def test_servers_of_another_directory_are_left_alone(data_dir, copy):
    with EmbeddedServers(copy, durable=False) as others:
        with EmbeddedServers(data_dir, durable=False):
            pass

        assert query(others, "select 1") == 1
        assert ping(others)


@pytest.mark.parametrize("index", [0, 1], ids=["postgresql", "valkey"])
def test_a_killed_server_comes_back_at_the_same_address(data_dir, index):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers as urls:
        child = servers.children[index]
        child.process.kill()
        child.process.wait()
        assert not child.running()

        child.start()

        assert child.running()
        assert query(urls, "select 1") == 1
        assert ping(urls)


def test_a_backend_that_is_busy_when_postgresql_is_killed_does_not_block_the_next_start(data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers as urls, busy_backend(urls) as backend:
        servers.postgresql.process.kill()
        servers.postgresql.process.wait()
        assert alive(backend)

        servers.postgresql.start()

        assert ended([backend])
        assert query(urls, "select 1") == 1


def test_a_lock_file_that_names_an_unrelated_process_blocks_nothing(data_dir):
    with child("sleep", "60") as unrelated:
        cluster = data_dir / "postgresql" / "cluster"
        lines = [str(unrelated.pid), str(cluster), "0", "5432", str(data_dir), "", "0 0", "ready"]
        (cluster / "postmaster.pid").write_text("\n".join(lines) + "\n")
        (data_dir / "lock").write_text(f"{unrelated.pid}\n")

        with EmbeddedServers(data_dir, durable=False) as servers:
            assert query(servers, "select 1") == 1

        assert alive(unrelated.pid)


@pytest.mark.slow
def test_a_first_start_killed_half_way_leaves_a_directory_that_starts(tmp_path):
    path = tmp_path / "data"
    with child(sys.executable, "-c", OWN, path):
        assert within(10, lambda: list(path.glob("postgresql/cluster*/base")))

    assert not (path / "postgresql" / "cluster").exists()
    with EmbeddedServers(path, durable=False) as servers:
        assert query(servers, "select 1") == 1
    assert list(path.glob("postgresql/cluster.new-*")) == []


# What is said when they cannot start


def test_a_cluster_of_another_version_is_refused(copy):
    (copy / "postgresql" / "cluster" / "PG_VERSION").write_text("16\n")

    with pytest.raises(ServerFailed, match=r"made by PostgreSQL 16.*pg_dump"):
        EmbeddedServers(copy).start()


def test_a_damaged_cluster_is_told_with_the_end_of_the_log(copy):
    (copy / "postgresql" / "cluster" / "global" / "pg_control").unlink()

    with pytest.raises(ServerFailed, match="backup") as failed:
        EmbeddedServers(copy).start()

    assert "could not find the database system" in str(failed.value)
    assert str(copy / "logs" / "postgresql.log") in str(failed.value)


def test_when_one_server_fails_the_other_is_ended_and_the_directory_is_free(copy):
    shutil.rmtree(copy / "valkey")
    (copy / "valkey").touch()
    servers = EmbeddedServers(copy, durable=False)

    with pytest.raises(ServerFailed, match="The embedded valkey did not start: File exists"):
        servers.start()

    assert servers.postgresql.process.returncode == 0
    (copy / "valkey").unlink()
    with EmbeddedServers(copy, durable=False) as restarted:
        assert ping(restarted)


def test_a_lost_password_is_told(copy):
    (copy / "postgresql" / "password").write_text("another")

    with pytest.raises(ServerFailed, match="put that one back"):
        EmbeddedServers(copy).start()


@pytest.mark.parametrize("limit", ["nr_inodes=1", "size=30m"], ids=["before the start", "half-way"])
def test_a_full_disk_is_told(namespaces, tmp_path, limit):
    mount = f'mount -t tmpfs -o {limit} none "$0" && exec "$1" -c "$2" "$0/data"'
    alone = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount)
    with child(*alone, tmp_path, sys.executable, OWN, stderr=subprocess.PIPE) as process:
        said = process.communicate()[1]

    assert "free some space" in said


def test_a_file_in_the_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(ServerFailed, match="cannot be used: File exists"):
        EmbeddedServers(tmp_path / "file").start()


@pytest.mark.parametrize(
    ("said", "done"),
    [
        ("FATAL:  could not write lock file: No space left on device", "free some space"),
        ("FATAL:  could not open directory: Permission denied", "chown"),
        ('HINT: lock file "postmaster.pid" already exists', "stop it"),
        ("FATAL:  could not map anonymous shared memory: Cannot allocate memory", "Memory is short"),
        ("FATAL:  database files are incompatible with server", "restore a dump"),
        ("PANIC:  could not locate a valid checkpoint record", "backup"),
        ("postgres: error while loading shared libraries: libz.so.1", "install lrs-bridge anew"),
        ("something new", "Its log says why"),
    ],
)
def test_what_a_server_says_has_a_remedy(said, done):
    assert done in remedy(said)


# Who runs them


@as_root
@pytest.mark.slow
def test_an_ordinary_user_runs_them():
    # The interpreter may lie in root's home, so this user may read all; it may write nothing that is not its own.
    read = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *read)
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which is root's
        os.chown(folder, NOBODY, NOBODY)
        with owner(Path(folder, "data"), prefix=user) as (process, pids):
            users = {psutil.Process(pid).uids().real for pid in pids}
            process.communicate("stop\n")

    assert users == {NOBODY}
    assert process.returncode == 0


@pytest.mark.parametrize("uid", [0, 61_234])  # the second stands in no /etc/passwd: containers start such users
def test_who_may_not_run_postgresql_becomes_a_user_whom_this_machine_knows(uid):
    """initdb asks /etc/passwd for its user, also inside a user namespace."""
    other = next(identity._others(Identity(uid, uid)))

    mapped = next(part for part in other.prefix if part.startswith("--map-user="))
    assert pwd.getpwuid(int(mapped.partition("=")[2])).pw_uid != 0
    assert other.uid == uid  # outside, the files stay ours


def test_as_root_postgresql_has_no_privilege_and_the_files_stay_roots(namespaces, data_dir):
    servers = EmbeddedServers(data_dir, durable=False)
    with servers:
        status = Path(f"/proc/{servers.postgresql.process.pid}/status").read_text()
        owners = {path.lstat().st_uid for path in data_dir.rglob("*")}

    assert "CapEff:\t0000000000000000" in status
    assert owners == {0}


@pytest.mark.slow
def test_where_namespaces_are_refused_nobody_runs_postgresql_and_ends_with_its_owner(namespaces, copy):
    with without_namespaces(sys.executable, "-c", OWN, copy) as process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        users = [psutil.Process(pid).uids().real for pid in pids]
        process.kill()
        ended = within(5, lambda: not any(map(alive, pids)))

    assert users == [NOBODY, 0]
    assert ended
    assert (copy.stat().st_mode & 0o777, copy.stat().st_uid) == (0o700, 0)
    with EmbeddedServers(copy, durable=False) as servers:  # and back to a namespace
        assert query(servers, "select 1") == 1


def test_root_that_can_become_nobody_else_is_told_to_be_another_user(namespaces, copy):
    with without_namespaces(
        "setpriv", "--bounding-set=-setuid", sys.executable, "-c", OWN, copy, stderr=subprocess.PIPE
    ) as process:
        said = process.communicate()[1]

    assert "Run lrs-bridge as an ordinary user" in said
