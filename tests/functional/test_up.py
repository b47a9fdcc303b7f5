"""`lrs-bridge up`: one process tree, found and left as it should be."""

import json
import os
import signal
import socket
import stat
import subprocess
import urllib.request
from pathlib import Path

import pytest
from trees import CLEAN, COMMAND, Start, alive, commands_below, descendants, wait_until

pytestmark = pytest.mark.slow

STATEMENT = {
    "id": "9f1b2c3d-0000-4000-8000-000000000001",
    "actor": {"mbox": "mailto:ann@example.com"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
    "object": {"id": "http://example.com/course"},
}


def call(endpoint: dict[str, str], path: str, body: object = None) -> tuple[int, str]:
    request = urllib.request.Request(endpoint["url"] + path, headers={"X-Experience-API-Version": "1.0.3"})
    manager = urllib.request.HTTPPasswordMgrWithPriorAuth()
    manager.add_password(None, endpoint["url"], endpoint["key"], endpoint["secret"], is_authenticated=True)
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(manager))
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with opener.open(request, timeout=10) as response:
        return response.status, response.read().decode()


def test_it_serves_until_sigterm_leaves_nothing_behind_and_starts_again_on_the_same_data(start: Start) -> None:
    tree = start()
    status, ids = call(tree.endpoint, "/xapi/statements", [STATEMENT])
    family = [tree.process.pid, *descendants(tree.process.pid)]
    first = tree.endpoint

    assert (status, json.loads(ids)) == (200, [STATEMENT["id"]])
    assert len(family) > 6  # PostgreSQL, Valkey, web, workers, scheduler and their children
    assert tree.stop() == 0
    assert [pid for pid in family if alive(pid)] == []
    assert not (tree.data_dir / "running.json").exists()
    assert not (tree.data_dir / "endpoint.json").exists()  # whoever waits for it must not find an old one
    assert first["secret"] in tree.output()
    shown_before = tree.output().count(first["secret"])

    again = start(data_dir=tree.data_dir)

    assert again.output().count(first["secret"]) == shown_before  # shown at the first start only

    assert (again.endpoint["key"], again.endpoint["secret"]) == (first["key"], first["secret"])
    found = json.loads(call(again.endpoint, f"/xapi/statements?statementId={STATEMENT['id']}")[1])
    assert found["id"] == STATEMENT["id"]


def test_what_it_keeps_is_private(start: Start) -> None:
    tree = start()

    for name in ("endpoint.json", "running.json", "credential.json", "secret_key", "token_keys"):
        assert stat.S_IMODE((tree.data_dir / name).stat().st_mode) == 0o600, name
    assert set(tree.endpoint) == {"url", "xapi", "key", "secret"}
    assert tree.endpoint["secret"] not in " ".join(commands_below(tree.process.pid).values())


def test_a_second_instance_on_the_same_directory_is_refused_and_harms_nothing(start: Start) -> None:
    tree = start()

    second = subprocess.run(
        [*COMMAND, "up", "--data-dir", str(tree.data_dir)],
        check=False,
        env=CLEAN,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert second.returncode == 1
    assert str(tree.data_dir) in second.stderr
    assert str(tree.process.pid) in second.stderr
    assert call(tree.endpoint, "/readyz")[0] == 200


def test_another_port_is_taken_when_8080_is_not_free(start: Start) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8080))
            taken.listen()
        except OSError:
            pass  # taken already: as good
        tree = start()

        assert ":8080" not in tree.endpoint["url"]
        assert call(tree.endpoint, "/readyz")[0] == 200
        assert tree.endpoint["url"] in tree.output()


def test_it_begins_before_the_proxy_of_its_public_address_does(start: Start) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        public = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert start(LRS_BRIDGE_URL=public).endpoint["url"] == public


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_of_the_call(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            [*COMMAND, "up", "--data-dir", str(tmp_path / "data"), "--port", str(port)],
            check=False,
            env=CLEAN,
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert result.returncode == 2
    assert f"Port {port} on 127.0.0.1 is taken" in result.stderr


def test_it_listens_on_nothing_but_loopback(start: Start) -> None:
    tree = start()
    inodes = {
        str(link.readlink())
        for pid in [tree.process.pid, *descendants(tree.process.pid)]
        for link in Path(f"/proc/{pid}/fd").glob("*")
        if link.is_symlink()
    }
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                listening.append(fields[1].split(":")[0])

    assert listening
    assert set(listening) <= {"0100007F", "00000000000000000000000001000000"}


def test_a_killed_supervisor_takes_its_parts_with_it_and_the_next_start_takes_over(start: Start) -> None:
    tree = start()
    call(tree.endpoint, "/xapi/statements", [STATEMENT])
    family = descendants(tree.process.pid)

    os.kill(tree.process.pid, signal.SIGKILL)
    tree.process.wait(10)

    wait_until(lambda: not any(alive(pid) for pid in family), "its parts have ended", seconds=40)
    again = start(data_dir=tree.data_dir)
    assert call(again.endpoint, f"/xapi/statements?statementId={STATEMENT['id']}")[0] == 200


def test_a_part_that_keeps_dying_ends_the_tree_with_a_word(start: Start) -> None:
    tree = start()

    def kill_worker() -> bool:
        for pid, command in commands_below(tree.process.pid).items():
            if "bridge worker" in command:
                os.kill(pid, signal.SIGKILL)
        return tree.process.poll() is not None

    wait_until(kill_worker, "the tree has ended", seconds=60)

    assert tree.process.returncode == 1
    assert "ended 5 times within 60 seconds" in tree.output()
    assert "worker-1.log" in tree.output()


def test_commands_find_the_servers_of_a_running_up_and_say_so_when_there_is_none(start: Start, tmp_path: Path) -> None:
    tree = start()

    assert json.loads(tree.run("status", "--json").stdout)["statements"] == 0

    assert tree.stop() == 0
    none = tree.run("status", check=False)
    assert none.returncode == 1
    assert f"Start `lrs-bridge up --data-dir {tree.data_dir}`" in none.stderr
