"""The control socket: who may speak, what is understood, and what either side does about the other's silence."""

import asyncio
import json
import os
import re
import socket
import stat
import struct
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import uvloop
from instances import BALANCE, ORDERS, POSITIONS, STATUS, running, stuck

from autotrader.adapters import control
from autotrader.adapters.control import ANSWERS, ControlServer, Done, NoInstanceError, ask
from autotrader.adapters.storage.state import SLOTS
from autotrader.adapters.storage.state_folder import StateFolder
from autotrader.errors import AutotraderError, OperatorError, VenueError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "state"


def connected(place: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(5)
    link.connect(str(place / "control.sock"))
    return link


def exchanged(place: Path, data: bytes) -> bytes:
    """What the server says to raw bytes until it closes."""
    with connected(place) as link:
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        heard = b""
        while part := link.recv(1 << 16):
            heard += part
        return heard


def listener(place: Path) -> socket.socket:
    """A socket where an instance's should be."""
    StateFolder(place).close()
    fake = socket.socket(socket.AF_UNIX)
    fake.bind(str(place / "control.sock"))
    fake.listen(1)
    return fake


@pytest.mark.parametrize(
    ("command", "answer"),
    [("status", STATUS), ("positions", POSITIONS), ("orders", ORDERS), ("balance", BALANCE)],
)
def test_what_a_handler_returns_is_what_the_operator_gets(place, command, answer):
    with running(place) as instance:
        assert ask(place, command, {"a": [1, "둘"]}, 5.0) == answer
    assert instance.asked == [(command, {"a": [1, "둘"]})]


def test_the_socket_is_ours_alone_and_gone_when_the_instance_is(place):
    with running(place):
        facts = (place / "control.sock").stat()
        assert stat.S_ISSOCK(facts.st_mode) and stat.S_IMODE(facts.st_mode) == 0o600
    assert not (place / "control.sock").exists()


def test_a_socket_of_an_instance_that_died_is_replaced(place):
    listener(place).close()
    with pytest.raises(NoInstanceError):
        ask(place, "status", {}, 1.0)
    with running(place):
        assert ask(place, "status", {}, 5.0) == STATUS


def test_a_file_where_the_socket_should_be_is_not_removed(place):
    StateFolder(place).close()
    (place / "control.sock").write_text("mine")
    folder = StateFolder(place)
    with pytest.raises(OperatorError, match=r"control\.sock: the control socket cannot be opened"):
        asyncio.run(ControlServer(folder, {}).open())
    folder.close()
    assert (place / "control.sock").read_text() == "mine"


def test_a_path_longer_than_a_sockets_is_served(tmp_path):
    place = tmp_path / ("long" * 40) / "state"
    with running(place):
        assert ask(place, "status", {}, 5.0) == STATUS


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_either_loop_serves(place, new_loop):
    async def main() -> Done:
        async def halt(_arguments):
            return asdict(Done(True, "", [], 0, 0, []))

        folder = StateFolder(place)
        server = ControlServer(folder, {"halt": halt})
        await server.open()
        answer = await asyncio.to_thread(ask, place, "halt", {}, 5.0)
        await server.close()
        await server.close()
        folder.close()
        return answer

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(main()) == Done(True, "", [], 0, 0, [])


def test_without_an_instance_there_is_one_clear_error(place):
    with pytest.raises(OperatorError, match="no such state folder"):
        ask(place, "status", {}, 1.0)
    StateFolder(place).close()
    with pytest.raises(NoInstanceError, match="no instance runs"):
        ask(place, "status", {}, 1.0)


@pytest.mark.parametrize("error", [OperatorError("no, because"), VenueError("the exchange says no", -2011)])
def test_a_refusal_reaches_the_operator_in_its_own_words(place, error):
    async def refuse(_arguments):
        raise error

    with running(place, halt=refuse), pytest.raises(AutotraderError) as heard:
        ask(place, "halt", {}, 5.0)
    assert str(heard.value) == str(error) and not isinstance(heard.value, OperatorError)


@pytest.mark.parametrize("fault", [ZeroDivisionError, ValueError, TimeoutError, ConnectionResetError])
def test_a_fault_of_ours_ends_that_answer_and_nothing_else(place, fault):
    async def broken(_arguments):
        raise fault("secret detail")

    with running(place, halt=broken):
        with pytest.raises(AutotraderError, match="broke off without an answer"):
            ask(place, "halt", {}, 5.0)
        assert ask(place, "status", {}, 5.0) == STATUS


def test_a_fault_of_a_handler_is_told_to_the_loop(place):
    told = []

    async def main() -> None:
        async def broken(_arguments):
            raise ZeroDivisionError

        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        folder = StateFolder(place)
        server = ControlServer(folder, {"halt": broken})
        await server.open()
        with pytest.raises(AutotraderError):
            await asyncio.to_thread(ask, place, "halt", {}, 5.0)
        await server.close()
        folder.close()

    asyncio.run(main())
    assert [type(one) for one in told] == [ZeroDivisionError]


def test_an_instance_that_does_not_answer_in_time_is_left_and_answers_others(place):
    with running(place, halt=stuck):
        began = time.monotonic()
        with pytest.raises(AutotraderError, match=r"within 0\.2 s"):
            ask(place, "halt", {}, 0.2)
        assert time.monotonic() - began < 3
        assert ask(place, "status", {}, 5.0) == STATUS


def test_an_instance_that_accepts_nobody_is_left_in_time(place):
    with listener(place) as _:
        waiting = [connected(place) for _ in range(2)]  # the queue of one that waits is full
        with pytest.raises(AutotraderError, match="did not answer"):
            ask(place, "status", {}, 0.2)
        for link in waiting:
            link.close()


def test_a_drip_of_bytes_does_not_stretch_the_time(place, monkeypatch):
    with listener(place) as fake:
        monkeypatch.setattr(socket.socket, "recv", lambda *_: time.sleep(0.05) or b" ")
        with pytest.raises(AutotraderError, match="did not answer"):
            ask(place, "status", {}, 0.3)
        fake.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"\n",
        b"garbage\n",
        b"{}\n",
        b"[]\n",
        b'{"ok": {"mode": 7}}\n',
        b'{"ok": []}\n',
        b'{"ok": null}\n',
        b'{"error": 5}\n',
        b'{"ok": NaN}\n',
        b'{"other": 1}\n',
        b'{"ok": "\xff"}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_an_answer_that_cannot_be_understood_is_one_clear_error(place, monkeypatch, answer):
    with listener(place):
        monkeypatch.setattr(control, "_line", lambda *_: answer)
        with pytest.raises(AutotraderError, match="cannot be understood") as heard:
            ask(place, "status", {}, 1.0)
    assert not isinstance(heard.value, OperatorError)


def test_an_answer_without_end_is_broken_off(place, monkeypatch):
    with listener(place):
        monkeypatch.setattr(socket.socket, "recv", lambda *_: b"x" * (1 << 20))
        with pytest.raises(AutotraderError, match="broke off"):
            ask(place, "status", {}, 5.0)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"\n", "is no request"),
        (b"status\n", "is no request"),
        (b"[]\n", "is no request"),
        (b'{"arguments": {}}\n', "is no request"),
        (b'{"command": 1}\n', "is no request"),
        (b'{"command": "status", "arguments": []}\n', "is no request"),
        (b'{"command": "status", "more": 1}\n', "is no request"),
        (b'{"command": "status", "arguments": {"a": NaN}}\n', "is no request"),
        (b'{"command": "\xff"}\n', "is no request"),
        (b"\x00" * 50 + b"\n", "is no request"),
        (b'{"command":' + b"[" * 60_000 + b"\n", "is no request"),
        (b'{"command": "' + b"x" * 60_000 + b'"}\n', "is no command of this instance; use status,"),
        (b"x" * 70_000 + b"\n", "at most 65536 bytes"),
        (b"x" * 200_000, "at most 65536 bytes"),
    ],
)
def test_a_request_that_cannot_be_understood_is_told_so_and_runs_nothing(place, request_, said):
    with running(place) as instance:
        lines = exchanged(place, request_).splitlines()
        assert len(lines) == 1 and said in json.loads(lines[0])["error"] and len(lines[0]) < 500
        assert ask(place, "status", {}, 5.0) == STATUS
    assert instance.asked == [("status", {})]


def test_what_follows_a_line_that_is_too_long_is_no_request(place):
    with running(place) as instance:
        heard = exchanged(place, b"x" * 70_000 + b'\n{"command": "halt"}\n')
    assert heard.count(b"\n") == 1 and instance.asked == []


def test_half_a_request_runs_nothing(place):
    with running(place) as instance:
        assert exchanged(place, b'{"command": "halt"}') == b""
    assert instance.asked == []


def test_several_requests_of_one_client_are_answered_in_order(place):
    with running(place) as instance:
        heard = exchanged(place, b'{"command": "balance"}\n{"command": "no"}\n{"command": "halt"}\n').splitlines()
    assert [next(iter(json.loads(line))) for line in heard] == ["ok", "error", "ok"]
    assert [name for name, _ in instance.asked] == ["balance", "halt"]


def test_a_second_client_is_served_while_the_first_waits(place):
    with running(place, flatten=stuck), connected(place) as first, connected(place) as idle:
        first.sendall(b'{"command": "flatten"}\n')
        assert ask(place, "status", {}, 5.0) == STATUS
        idle.sendall(b'{"command": "balance"}\n')
        assert b'"ok"' in idle.recv(1 << 16)


def test_a_crowd_of_clients_is_bounded(place):
    with running(place):
        links = [connected(place) for _ in range(control.MOST_CLIENTS)]
        time.sleep(0.2)
        with pytest.raises(AutotraderError, match="16 others"):
            ask(place, "status", {}, 5.0)
        for link in links:
            link.close()
        for _ in range(50):
            try:
                found = ask(place, "status", {}, 5.0)
                break
            except AutotraderError:
                time.sleep(0.02)
        assert found == STATUS


def test_a_client_that_sends_nothing_is_let_go(place, monkeypatch):
    monkeypatch.setattr(control, "IDLE_S", 0.1)
    with running(place), connected(place) as silent:
        silent.sendall(b'{"comm')
        assert silent.recv(1) == b""


def test_a_command_is_finished_when_its_client_is_gone(place):
    done = []

    async def slow(_arguments):
        await asyncio.sleep(0.2)
        done.append(True)
        return Done(True, "", [], 0, 0, [])

    with running(place, flatten=slow) as instance:
        with connected(place) as link:
            link.sendall(b'{"command": "flatten"}\n')
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(100):
            if done:
                break
            time.sleep(0.02)
        assert done and [name for name, _ in instance.asked] == ["flatten"]
        assert ask(place, "status", {}, 5.0) == STATUS


def test_another_user_is_refused(place, monkeypatch):
    with running(place) as instance:
        monkeypatch.setattr(control, "_peer", lambda _link: os.geteuid() + 1)
        with pytest.raises(AutotraderError, match="only the user that runs the instance"):
            ask(place, "kill", {"reason": "x"}, 5.0)
        assert instance.asked == []


def test_a_refusal_is_heard_although_the_instance_does_not_listen(place, monkeypatch):
    connect = control._connect

    def refused(link, folder, timeout_s):
        connect(link, folder, timeout_s)
        other, _ = fake.accept()
        other.sendall(b'{"error": "not you"}\n')
        other.close()

    with listener(place) as fake:
        monkeypatch.setattr(control, "_connect", refused)
        with pytest.raises(AutotraderError, match=r"^not you$"):
            ask(place, "status", {}, 5.0)


def test_a_crowd_hears_why_it_is_refused(place):
    with running(place):
        links = [connected(place) for _ in range(control.MOST_CLIENTS)]
        heard = [exchanged(place, b'{"command": "status"}\n') for _ in range(20)]
        for link in links:
            link.close()
    assert {json.loads(line)["error"][:9] for line in heard} == {"16 others"}


def test_the_peer_is_whom_the_kernel_says():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert control._peer(ours) == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_real_process_of_another_user_cannot_speak(place):
    with running(place) as instance:
        place.parent.chmod(0o755)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                connected(place)
            except PermissionError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
    assert instance.asked == []


def test_closing_ends_what_does_not_end(place, monkeypatch):
    monkeypatch.setattr(control, "FAREWELL_S", 0.1)
    with running(place, flatten=stuck), connected(place) as link:
        link.sendall(b'{"command": "flatten"}\n')
        time.sleep(0.1)
    assert not (place / "control.sock").exists()


def test_an_instance_may_close_from_within_a_command(place):
    async def main() -> object:
        folder = StateFolder(place)
        server: ControlServer

        async def stop(_arguments):
            await server.close()
            return {"stopped": True}

        server = ControlServer(folder, {"stop": stop})
        await server.open()
        answer = await asyncio.to_thread(ask, place, "stop", {}, 5.0)
        folder.close()
        return answer

    assert asyncio.run(main()) == {"stopped": True}


# The page.


def test_the_page_shows_what_the_socket_says(place, root):
    page = (root / "docs/control.md").read_text("utf-8")
    lines = re.search(r"```text\n(.*?)```", page, re.DOTALL).group(1).splitlines()

    async def flatten(_arguments):
        return Done(True, "", [], 0, 0, [])

    with running(place, flatten=flatten) as instance:
        heard = exchanged(place, f"{lines[0]}\n{lines[2]}\n".encode()).decode().splitlines()
    assert json.loads(heard[0]) == json.loads(lines[1]) and instance.asked == [("flatten", {"symbols": ["BTCUSDT"]})]
    assert heard[1].replace('":"', '": "').startswith(lines[3].partition("...")[0])


def test_the_page_lists_every_command_and_every_file(root):
    page = (root / "docs/control.md").read_text("utf-8")
    rows = [re.findall(r"`([\w.]+)`", line.split("|")[1]) for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in row}
    files = {"lock", "epoch", "kill", *SLOTS, "starts", "silence", "watchdog.lock", "watchdog", control.SOCKET}
    assert named == {*ANSWERS, *files}
