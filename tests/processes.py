"""Commands that tests start as processes of their own, and a place in which nothing of the machine's is in the way."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

TONGUES = ("AUTOTRADER_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def settle(tmp_path, monkeypatch, **environment):
    """Go to a folder of one's own, without a language or a proxy of the machine's, with these variables."""
    monkeypatch.chdir(tmp_path)
    for name in [*TONGUES, *(name for name in os.environ if name.lower().endswith("_proxy"))]:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@contextmanager
def running(*arguments):
    """Run a command for a machine until the block ends; yields the process."""
    command = [sys.executable, "-m", "autotrader.cli", "--json", "run", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()
        process.stderr.close()
