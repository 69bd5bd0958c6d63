"""A TCP proxy that does to connections what networks do: hold them (one way or both), delay, slow down, reset.

It runs in a thread of its own. A held direction forwards nothing, and what comes meanwhile waits, as behind a broken line; connections that are
opened meanwhile are taken and say nothing."""

import asyncio
import random
import socket
import struct
import threading

CHUNK = 1400  # bytes: what one packet holds; resets are by packet
UP, DOWN = "up", "down"  # from those who connect, and to them


class FaultProxy:
    """Forwards 127.0.0.1:port to upstream. delay_s: each way; bytes_per_s: each way of each connection; resets: share of packets; None, 0: not."""

    def __init__(self, upstream, address="127.0.0.1", port=0, delay_s=0.0, bytes_per_s=None, resets=0.0, seed=1):
        self.upstream, self.delay_s, self.bytes_per_s, self.resets = upstream, delay_s, bytes_per_s, resets
        self.dice = random.Random(seed)
        self.connections = self.reset_count = 0
        self.loop = asyncio.new_event_loop()
        self.listener = socket.create_server((address, port), backlog=128)
        self.address, self.port = self.listener.getsockname()[:2]
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    @property
    def endpoint(self):
        return f"tcp://{self.address}:{self.port}"

    def hold(self, *directions):
        self._call(lambda: [self.open[d].clear() for d in directions or (UP, DOWN)])

    def let_go(self):
        self._call(lambda: [event.set() for event in self.open.values()])

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def _call(self, what):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (what(), done.set()))
        assert done.wait(10)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.open = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        for event in self.open.values():
            event.set()
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, sock=self.listener))
        self.loop.call_soon(self.ready.set)
        self.loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            await self.open[UP].wait()
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            self._reset(writer)
            return
        writers = (writer, up_writer)
        pumps = [asyncio.ensure_future(self._pump(reader, up_writer, UP)), asyncio.ensure_future(self._pump(up_reader, writer, DOWN))]
        try:
            done, _ = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            reset = any(one.exception() or one.result() for one in done)
        except asyncio.CancelledError:
            reset = True
        for one in pumps:
            one.cancel()
        if not reset:
            await asyncio.gather(*(event.wait() for event in self.open.values()))  # a line that is down tells of no end either
        for one in writers:
            self._reset(one) if reset else one.close()

    async def _pump(self, reader, writer, direction):
        """Until the sender ends (False) or a reset (True)."""
        packets = asyncio.Queue(256)
        deliver = asyncio.ensure_future(self._deliver(packets, writer, direction))
        try:
            while data := await reader.read(CHUNK):
                if self.resets and self.dice.random() < self.resets:
                    self.reset_count += 1
                    return True
                await packets.put((self.loop.time() + self.delay_s, data))
            await packets.put((0, b""))
            await deliver
            return False
        except OSError:
            return True
        finally:
            deliver.cancel()

    async def _deliver(self, packets, writer, direction):
        while True:
            due, data = await packets.get()
            if not data:
                return
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)
            if (wait := due - self.loop.time()) > 0:
                await asyncio.sleep(wait)
            await self.open[direction].wait()
            writer.write(data)
            await writer.drain()

    def _reset(self, writer):
        s = writer.get_extra_info("socket")
        if s is not None and s.fileno() >= 0:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
