"""What stands between a run and the exchange, and may let one kind of connection die without a word."""

import asyncio
import threading

import uvloop


class Proxy:
    """Carries bytes both ways; of a kind that is dead none arrives any more, and the connection stays.

    Parameters
    ----------
    port : int
        Of the exchange.

    Attributes
    ----------
    port : int
        Where it listens.
    dead : set of str
        "rest", "socket", or both.
    """

    def __init__(self, port: int) -> None:
        self.exchange, self.port = port, 0
        self.dead: set[str] = set()
        self._loop = uvloop.new_event_loop()
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._open.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._open.set()
        self._loop.run_forever()
        self._loop.set_exception_handler(lambda *_: None)  # who is still being carried is cut off
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.read(1 << 16)
        kind = "socket" if b"upgrade: websocket" in first.lower() else "rest"
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.exchange)
        if kind not in self.dead:
            ours.write(first)
        await asyncio.gather(self._pass(kind, reader, ours), self._pass(kind, theirs, writer))

    async def _pass(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                if kind not in self.dead:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
