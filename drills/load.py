"""A constant load on POST /predict: requests leave at their time whether or not earlier ones were answered."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

# More than this under way at once, and requests are counted as not sent rather than queued in the client.
MAX_UNDER_WAY = 3000
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what became of it. Times are of time.monotonic(); status 0 is a request without an answer."""

    user_id: str
    sent: float
    done: float
    status: int
    probability: float | None
    version: str | None
    error: str | None


class Load:
    """`rate` requests a second, for the users in turn, from entering the block to leaving it."""

    def __init__(self, port: int, users: Sequence[str], rate: float = 200) -> None:
        self._port, self._users, self._rate = port, users, rate
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), name="load")
        self.answers: list[Answer] = []
        self.not_sent = 0

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def failed(self, since: float = 0.0, until: float = float("inf")) -> list[Answer]:
        """Answers other than 200 to what was sent in that time."""
        return [each for each in self.between(since, until) if each.status != 200]

    def between(self, since: float, until: float = float("inf")) -> list[Answer]:
        """Answers to what was sent in that time."""
        return [each for each in self.answers if since <= each.sent < until]

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time in which no request was answered with 200 (seconds)."""
        good = sorted(each.done for each in self.answers if each.status == 200 and since <= each.done < until)
        return max(later - earlier for earlier, later in itertools.pairwise([since, *good, until]))

    async def _send_all(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        started = time.monotonic()
        for number, user_id in enumerate(itertools.cycle(self._users)):
            await asyncio.sleep(max(0.0, started + number / self._rate - time.monotonic()))
            if self._stop.is_set():
                break
            if len(under_way) >= MAX_UNDER_WAY:
                self.not_sent += 1
                continue
            task = asyncio.create_task(self._ask(user_id))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        if under_way:
            await asyncio.wait(under_way)
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, user_id: str) -> None:
        sent = time.monotonic()
        status, body, error = 0, {}, None
        try:
            async with asyncio.timeout(TIMEOUT):
                status, body = await self._exchange(json.dumps({"user_id": user_id}).encode())
                error = body.get("error")
        except (OSError, EOFError, ValueError, TimeoutError) as problem:
            error = repr(problem)
        model = body.get("model") or {}
        self.answers.append(
            Answer(user_id, sent, time.monotonic(), status, body.get("probability"), model.get("version"), error)
        )

    async def _exchange(self, content: bytes) -> tuple[int, dict]:
        reader, writer = await self._connection()
        try:
            writer.write(
                b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
            )
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if "content-length" in fields:
                answer = await reader.readexactly(int(fields["content-length"]))
            else:
                answer = await reader.read()
            if fields.get("connection") == "close" or "content-length" not in fields:
                writer.close()
            else:
                self._idle.append((reader, writer))
        except BaseException:
            writer.close()
            raise
        status = int(head.split(" ", 2)[1])
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, {"error": answer[:200].decode("latin-1")}

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            # As every client does: a connection that the server has closed meanwhile is not used again.
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)
