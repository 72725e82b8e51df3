"""The loop: market messages at the pace at which they were recorded.

Knows the loop's clock, and that a message is handed over at its stamp. Refuses to know what is done with
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import uvloop

from autotrader.adapters.storage.recordings import Recording
from autotrader.research.replay import Session

__all__ = ["paced"]


def paced(session: Session, recording: Recording, told: Callable[[float], None]) -> None:
    """Run a session through a recording at the recording's own pace.

    Parameters
    ----------
    session : Session
    recording : Recording
    told : callable
        Told the share of the bytes that is done.
    """
    uvloop.run(_paced(session, recording, told))


async def _paced(session: Session, recording: Recording, told: Callable[[float], None]) -> None:
    loop = asyncio.get_running_loop()
    session.start(recording.start_ns)
    begun, rows = loop.time(), 0
    for share, lines, day, first_line in recording.chunks():
        for at, line in enumerate(lines.splitlines(keepends=True)):
            stamp = line.partition(b" ")[0]
            if stamp.isdigit():
                due = begun + (int(stamp) * recording.unit_ns - recording.offset_ns - recording.start_ns) / 1e9
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
            rows += recording.feed_chunk(session.driver, line, day, first_line + at, rows)
        told(share)
