"""Micro-batching: requests that arrive during a call go into the next call."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from streamflow.core.errors import EnvironmentFault

_Key = TypeVar("_Key")
_Answer = TypeVar("_Answer")


class MicroBatch(Generic[_Key, _Answer]):
    """Turns calls for one key into calls for many, without waiting: an idle graph is called at once.

    `call` takes keys and returns an answer for each, in order. At most `in_flight` calls run at a time with up to
    `max_size` keys each. Raises EnvironmentFault if `max_waiting` callers wait already, if a caller has waited
    `max_wait` seconds, and if a call takes over `timeout` seconds.
    """

    def __init__(
        self,
        call: Callable[[list[_Key]], Awaitable[list[_Answer]]],
        *,
        max_size: int = 64,
        in_flight: int = 2,
        max_waiting: int = 2000,
        max_wait: float = 2.5,
        timeout: float = 10,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._call, self._max_size, self._in_flight = call, max_size, in_flight
        self._max_waiting, self._max_wait, self._timeout, self._on_batch = max_waiting, max_wait, timeout, on_batch
        self._waiting: deque[tuple[_Key, asyncio.Future[_Answer], float]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._scheduled = False

    async def __call__(self, key: _Key) -> _Answer:
        """The answer for one key; raises what the call for its batch raised."""
        if len(self._waiting) >= self._max_waiting:
            raise EnvironmentFault(f"overloaded: {self._max_waiting} requests are waiting; try again, or add replicas")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[_Answer] = loop.create_future()
        self._waiting.append((key, answer, loop.time()))
        if not self._scheduled and len(self._running) < self._in_flight:
            # After the requests that this turn of the loop reads as well.
            self._scheduled = True
            loop.call_soon(self._start)
        return await answer

    def _start(self) -> None:
        self._scheduled = False
        self._refuse_overdue()
        while self._waiting and len(self._running) < self._in_flight:
            size = min(self._max_size, len(self._waiting))
            taken = [self._waiting.popleft() for _ in range(size)]
            batch = [(key, answer) for key, answer, _ in taken if not answer.done()]
            if batch:
                task = asyncio.get_running_loop().create_task(self._run(batch))
                self._running.add(task)
                task.add_done_callback(self._ended)

    def _refuse_overdue(self) -> None:
        # While a store hangs, every call takes as long as it may; callers must not add up those waits.
        oldest = asyncio.get_running_loop().time() - self._max_wait
        while self._waiting and self._waiting[0][2] < oldest:
            key, answer, _ = self._waiting.popleft()
            fault = EnvironmentFault(f"overloaded: the request waited {self._max_wait:g} s; try again, or add replicas")
            self._fail([(key, answer)], fault)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _run(self, batch: list[tuple[_Key, asyncio.Future[_Answer]]]) -> None:
        self._on_batch(len(batch))
        try:
            async with asyncio.timeout(self._timeout):
                answers = await self._call([key for key, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        except TimeoutError:
            self._fail(batch, EnvironmentFault(f"the graph did not answer within {self._timeout:g} s; try again"))
        except Exception as error:  # every caller of the batch gets what the call raised
            self._fail(batch, error)
        except asyncio.CancelledError:
            self._fail(batch, EnvironmentFault("this replica is shutting down; try again"))
            raise

    @staticmethod
    def _fail(batch: list[tuple[_Key, asyncio.Future[_Answer]]], error: Exception) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(error)
