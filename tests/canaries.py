"""Canaries: keys, secrets and passphrases that tests give to the product, and a search for them in all that it leaves.

Knows in which forms a secret may turn up and where a session of tests leaves things: files below its temporary folder,
captured output, reports of failures, process lists. Refuses to know which test leaked; the place says it. Every canary
begins and ends with one mark, so that a part of one is found as well; what an exchange hands out (a listen key) is
added while the session runs.
"""

import base64
import gzip
import json
import os
import subprocess
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

MARK = "KaNaRyQx"
KEY = f"{MARK}7h3Jd82kLmQpR5sT0uVwXyZaBcDeFgHiJkLmNoPqRsTuVw{MARK}"
SECRET = f"{MARK}pQ4vT9zRb1Nc6Xe8Yg2Wj5Km0LdHfSaUiOoPqErTyUiOpA{MARK}"
PASSPHRASE = f"{MARK} open/sesame+ä={MARK}"
CHUNK = 1 << 24
EACH_S = 2.0


def forms(text):
    """Return what a text looks like plain, percent-encoded, escaped, in hexadecimal and in Base64 at every offset."""
    raw = text.encode()
    found = {raw, quote(text, safe="").encode(), json.dumps(text)[1:-1].encode()}
    found |= {raw.hex().encode(), raw.hex().upper().encode()}
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Without the characters that hold bits of what stands before or behind.
            body = encode(b"\0" * offset + raw)
            found.add(body[(0, 2, 3)[offset] : (offset + len(raw)) * 4 // 3])
    return found


class Search:
    """Looks for canaries and remembers where they are.

    Attributes
    ----------
    hits : list of str
        Places.
    """

    def __init__(self):
        self.needles = sorted(forms(MARK))
        self.longest = max(map(len, self.needles))
        self.planted = set()
        self.hits = []
        self._lock = threading.Lock()

    def add(self, text):
        """Look for another secret from here on."""
        self.needles = sorted({*self.needles, *forms(text)})
        self.longest = max(map(len, self.needles))

    def plant(self, path):
        """Except one file, in which a test has put a canary itself; return it."""
        self.planted.add(Path(path).resolve())
        return Path(path)

    def look(self, where, data):
        """Look at bytes or a text."""
        if isinstance(data, str):
            data = data.encode(errors="replace")
        if any(needle in data for needle in self.needles):
            with self._lock:
                self.hits.append(where)
            return True
        return False

    def look_at_file(self, path):
        """Look at a file, and into one that is packed."""
        kept = b""
        with path.open("rb") as file:
            while block := file.read(CHUNK):
                if self.look(str(path), kept + block):
                    return
                kept = block[-self.longest :]
        if path.suffix == ".gz":
            with suppress(OSError, EOFError, zlib.error), gzip.open(path) as file:
                self.look(f"{path} (unpacked)", file.read())

    def look_below(self, folder):
        """Look at the names and the contents of all files below a folder."""
        for path in sorted(folder.rglob("*")):
            self.look(f"the name of {path!r}", path.name)
            # A journal may end while it is looked at; sockets and pipes hold nothing.
            if path.is_file() and not path.is_symlink() and path.resolve() not in self.planted:
                with suppress(FileNotFoundError):
                    self.look_at_file(path)

    def look_at_processes(self):
        """Look at the command lines of every process of ours."""
        for path in Path("/proc").iterdir():
            if path.name.isdigit():
                with suppress(OSError):
                    if path.stat().st_uid == os.getuid():
                        self.look(f"the command line of process {path.name}", (path / "cmdline").read_bytes())


class Watch:
    """The plugin: looks at the processes, at every report, at whatever is read of output, and at the files at last.

    Parameters
    ----------
    config : pytest.Config
    """

    def __init__(self, config):
        self.config, self.search = config, Search()
        self.done = threading.Event()
        self.sampler = threading.Thread(target=self._sample, daemon=True)
        self.told = []

    def _sample(self):
        while not self.done.wait(EACH_S):
            self.search.look_at_processes()

    def pytest_sessionstart(self):
        """Begin."""
        self.communicate = subprocess.Popen.communicate
        watch = self

        def communicate(process, *arguments, **named):
            found = watch.communicate(process, *arguments, **named)
            for part in found:
                watch.search.look(f"the output of a process, in {os.environ.get('PYTEST_CURRENT_TEST')}", part or b"")
            return found

        subprocess.Popen.communicate = communicate
        self.sampler.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        """Look at what a test printed and logged, and at how it failed."""
        report = yield
        for name, text in report.sections:
            self.search.look(f"{name} of {item.nodeid}", text)
        if report.longrepr:
            self.search.look(f"the failure of {item.nodeid}", str(report.longrepr))
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session):
        """Look at the files, and let the session fail where anything was found."""
        self.done.set()
        self.sampler.join()
        subprocess.Popen.communicate = self.communicate
        basetemp = self.config._tmp_path_factory._basetemp
        # Who gives tests to workers has their folders below its own; they look themselves, and know what was planted.
        if basetemp is not None and not getattr(self.config.option, "numprocesses", None):
            self.search.look_below(basetemp)
        for path in self.config.rootpath.glob("core*"):
            if path.is_file():
                self.search.look_at_file(path)
        self.told += self.search.hits
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["canaries"] = self.told
        if self.told:
            session.exitstatus = max(int(session.exitstatus), int(pytest.ExitCode.TESTS_FAILED))
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        """Take what a worker has found."""
        self.told += getattr(node, "workeroutput", {}).get("canaries", [])

    def pytest_terminal_summary(self, terminalreporter):
        """Name the places."""
        for place in sorted(set(self.told)):
            terminalreporter.write_line(f"CANARY in {place}", red=True)
