"""Micro-batches: every caller gets its own answer, whoever it shared a call with."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.batching import MicroBatch
from streamflow.core.errors import EnvironmentFault, FeatureStoreError


class Squares:
    """Squares numbers, as slowly as told; remembers its calls and how many ran at once."""

    def __init__(self, seconds=0.0, fail=False):
        self.seconds, self.fail, self.calls, self.running, self.most = seconds, fail, [], 0, 0

    async def __call__(self, keys):
        self.calls.append(keys)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            if self.fail:
                raise FeatureStoreError("the online store does not answer")
            return [key * key for key in keys]
        finally:
            self.running -= 1


async def ask(batch, keys):
    return await asyncio.gather(*(batch(key) for key in keys), return_exceptions=True)


@given(
    keys=st.lists(st.integers(-1000, 1000), max_size=60),
    max_size=st.integers(1, 20),
    in_flight=st.integers(1, 4),
)
def test_every_caller_gets_the_answer_for_its_key(keys, max_size, in_flight):
    call = Squares()
    answers = asyncio.run(ask(MicroBatch(call, max_size=max_size, in_flight=in_flight), keys))
    assert answers == [key * key for key in keys]
    assert sorted(key for each in call.calls for key in each) == sorted(keys)
    assert all(1 <= len(each) <= max_size for each in call.calls)
    assert call.most <= in_flight


def test_what_arrives_during_a_call_shares_the_next_one():
    async def scene():
        call = Squares(0.05)
        batch = MicroBatch(call, in_flight=1)
        first = asyncio.create_task(batch(1))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(batch(key)) for key in (2, 3, 4)]
        assert await asyncio.gather(first, *others) == [1, 4, 9, 16]
        return call.calls

    assert asyncio.run(scene()) == [[1], [2, 3, 4]]


def test_a_failed_call_fails_its_callers_and_no_others():
    async def scene():
        call = Squares(fail=True)
        batch = MicroBatch(call)
        failed = await ask(batch, [1, 2])
        call.fail = False
        return failed, await ask(batch, [3])

    failed, good = asyncio.run(scene())
    assert [str(error) for error in failed] == ["the online store does not answer"] * 2
    assert good == [9]


def test_a_call_that_hangs_is_given_up_and_the_next_one_runs():
    async def scene():
        call = Squares(30)
        batch = MicroBatch(call, in_flight=1, timeout=0.05)
        (late,) = await ask(batch, [1])
        call.seconds = 0
        return late, await ask(batch, [2])

    late, good = asyncio.run(scene())
    assert isinstance(late, EnvironmentFault)
    assert "within 0.05 s" in str(late)
    assert good == [4]


def test_too_many_waiting_callers_are_refused_at_once():
    async def scene():
        return await ask(MicroBatch(Squares(0.01), max_size=1, in_flight=1, max_waiting=3), range(5))

    answers = asyncio.run(scene())
    assert [each for each in answers if isinstance(each, int)] == [0, 1, 4]
    assert all("overloaded" in str(each) for each in answers[3:])


def test_a_caller_that_gives_up_is_not_looked_up():
    async def scene():
        call = Squares(0.02)
        batch = MicroBatch(call, in_flight=1)
        first, second = asyncio.create_task(batch(1)), asyncio.create_task(batch(2))
        third = None
        await asyncio.sleep(0.005)
        third = asyncio.create_task(batch(3))
        await asyncio.sleep(0)
        third.cancel()
        fourth = asyncio.create_task(batch(4))
        assert await asyncio.gather(first, second, fourth) == [1, 4, 16]
        with pytest.raises(asyncio.CancelledError):
            await third
        return call.calls

    assert asyncio.run(scene()) == [[1, 2], [4]]


def test_waits_do_not_add_up_behind_slow_calls():
    async def asked():
        batch = MicroBatch(Squares(seconds=0.2), max_size=1, in_flight=1, max_wait=0.3)
        loop = asyncio.get_running_loop()
        started = loop.time()
        answers = await ask(batch, [3] * 50)
        return answers, loop.time() - started

    answers, seconds = asyncio.run(asked())
    assert answers[:2] == [9, 9]
    assert isinstance(answers[-1], EnvironmentFault)
    assert "the request waited 0.3 s" in str(answers[-1])
    assert seconds < 2
