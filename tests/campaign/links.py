"""Network links as TCP proxies of this process, which fail as networks do.

What a proxy cannot do by closing and waiting, dropping packets, the kernel does for it: a socket filter (classic BPF,
no rights needed) that accepts nothing makes a socket deaf. Its peer then sees a dead network: no acknowledgement, no
reset, only retransmissions.
"""

from __future__ import annotations

import asyncio
import ctypes
import random
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_READ = 65536


def deafen(sock: socket.socket) -> None:
    """Drop every packet that arrives for the socket; for a listening one also those that ask for connections."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # return 0: keep no byte
    program = struct.pack("HL", 1, ctypes.addressof(instruction))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def undeafen(sock: socket.socket) -> None:
    """Hear again."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


@dataclass(frozen=True, slots=True)
class Slowness:
    """latency_s: one way, with up to jitter_s more; bytes_per_s: of one direction of one connection."""

    latency_s: float
    jitter_s: float
    bytes_per_s: float


class KafkaAddresses:
    """Puts the proxy's port for the broker's into Kafka's answers, so that clients stay on the proxy.

    An answer is length-prefixed and holds an address as its text and a port of four bytes: nothing changes its length.
    """

    def __init__(self, host: str, port: int, proxy_port: int) -> None:
        self._old = host.encode() + struct.pack(">i", port)
        self._new = host.encode() + struct.pack(">i", proxy_port)
        self._buffer = b""

    def __call__(self, data: bytes) -> bytes:
        """Whole answers that are complete by now."""
        self._buffer += data
        end = 0
        while len(self._buffer) >= end + 4:
            size = 4 + struct.unpack_from(">i", self._buffer, end)[0]
            if len(self._buffer) < end + size:
                break
            end += size
        whole, self._buffer = self._buffer[:end], self._buffer[end:]
        return whole.replace(self._old, self._new)


class _Connection:
    """One connection through a link: two sockets, each pumped into the other."""

    def __init__(self, link: Link, client: socket.socket, server: socket.socket) -> None:
        self.link, self.sockets = link, (client, server)
        self.heard = asyncio.Event()
        self.heard.set()
        self.dead = False

    async def run(self) -> None:
        """Until one side ends it. Raises OSError where it breaks."""
        client, server = self.sockets
        pumps = [self._pump(client, server, bytes), self._pump(server, client, self.link.answers())]
        tasks = [asyncio.ensure_future(task) for pump in pumps for task in pump]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _pump(
        self, source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]
    ) -> tuple[Awaitable[None], Awaitable[None]]:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(16)
        return self._read(source, queue, change), self._write(sink, queue)

    async def _read(self, source: socket.socket, queue: Any, change: Callable[[bytes], bytes]) -> None:
        due = 0.0
        while data := await self.link.loop.sock_recv(source, _READ):
            if out := change(data):
                due = self.link.due(due, len(out))
                await queue.put((due, out))
        await queue.put((0.0, b""))
        await asyncio.Event().wait()  # the writer ends the connection, after what is still on its way

    async def _write(self, sink: socket.socket, queue: Any) -> None:
        while True:
            due, data = await queue.get()
            if (wait := due - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            await self.heard.wait()
            if not data:
                return
            await self.link.loop.sock_sendall(sink, data)

    def silence(self) -> None:
        self.heard.clear()
        for sock in self.sockets:
            deafen(sock)

    def hear(self) -> None:
        if not self.dead:
            for sock in self.sockets:
                undeafen(sock)
            self.heard.set()

    def close(self, reset: bool = False) -> None:
        for sock in self.sockets:
            with suppress(OSError):
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()


class Link:
    """A way from clients to a server: connect to `port`. Methods other than `due` may be called from any thread."""

    def __init__(self, name: str, target: tuple[str, int], loop: asyncio.AbstractEventLoop) -> None:
        self.name, self.loop = name, loop
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._refusing = False
        self._slowness: Slowness | None = None
        self._speaks_kafka = False
        asyncio.run_coroutine_threadsafe(self._accept(), loop)

    def close(self) -> None:
        """Listen no more; after its tasks have ended."""
        self._listener.close()

    def rewriting_kafka(self) -> Link:
        """The link leads to Kafka."""
        self._speaks_kafka = True
        return self

    def answers(self) -> Callable[[bytes], bytes]:
        """What changes the server's answers, one for each connection."""
        return KafkaAddresses(*self._target, self.port) if self._speaks_kafka else bytes

    def due(self, last: float, size: int) -> float:
        """When bytes that came now are to be passed on, those before them at `last` (monotonic clock)."""
        if (slow := self._slowness) is None:
            return 0.0
        arrival = time.monotonic() + slow.latency_s + random.random() * slow.jitter_s
        return max(arrival, last) + size / slow.bytes_per_s

    async def _accept(self) -> None:
        while True:
            client, _ = await self.loop.sock_accept(self._listener)
            connection = _Connection(self, client, socket.socket())
            self._connections[connection] = asyncio.ensure_future(self._serve(connection))

    async def _serve(self, connection: _Connection) -> None:
        for sock in connection.sockets:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        broken = True
        try:
            if not self._refusing:
                await self.loop.sock_connect(connection.sockets[1], self._target)
                await connection.run()
                broken = False
        except OSError:
            pass  # the server is away, or one side was reset: so is the other
        finally:
            del self._connections[connection]
            connection.close(reset=broken)

    def _do(self, work: Callable[[], None]) -> None:
        async def inside() -> None:
            work()

        asyncio.run_coroutine_threadsafe(inside(), self.loop).result(10)

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._refusing = True
        self._do(lambda: self._reset(lambda _: True))

    def _reset(self, which: Callable[[_Connection], bool]) -> None:
        for connection, task in self._connections.items():
            if which(connection):
                task.cancel()

    def slow_down(self, slowness: Slowness) -> None:
        """Delay what passes from now on."""
        self._slowness = slowness

    def black_out(self) -> None:
        """Let every packet vanish: connections stand still, new ones get no answer."""
        self._do(lambda: self._silence(dead=False))

    def forget(self) -> None:
        """The same, and today's connections never come back: they stay open, and nobody hears what is sent in them."""
        self._do(lambda: self._silence(dead=True))

    def _silence(self, dead: bool) -> None:
        deafen(self._listener)
        for connection in self._connections:
            connection.dead = connection.dead or dead
            connection.silence()

    def mend(self) -> None:
        """A good network again. Forgotten connections stay forgotten."""
        self._refusing, self._slowness = False, None

        def hear() -> None:
            with suppress(FileNotFoundError):  # no filter was attached
                undeafen(self._listener)
            for connection in self._connections:
                if not connection.heard.is_set():
                    connection.hear()

        self._do(hear)

    def bury(self) -> None:
        """Reset forgotten connections, whose clients have made others by now."""
        self._do(lambda: self._reset(lambda connection: connection.dead))


class Network:
    """All links, served by one thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="network", daemon=True)
        self._thread.start()
        self.links: dict[str, Link] = {}

    def add(self, name: str, port: int, kafka: bool = False) -> Link:
        """A link to a local port."""
        link = Link(name, ("127.0.0.1", port), self.loop)
        self.links[name] = link.rewriting_kafka() if kafka else link
        return link

    def close(self) -> None:
        """Stop serving: everything is reset."""

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        for link in self.links.values():
            link.close()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()
