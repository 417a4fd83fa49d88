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


def test_a_batch_holds_at_most_so_many_and_two_run_at_a_time_if_nothing_is_said():
    async def scene():
        call, sizes = Squares(0.01), []
        batch = MicroBatch(call, on_batch=sizes.append)
        answers = await ask(batch, range(300))
        return answers, call, sizes

    answers, call, sizes = asyncio.run(scene())
    assert answers == [key * key for key in range(300)]
    assert sizes == [len(keys) for keys in call.calls] == [64, 64, 64, 64, 44]
    assert call.most == 2


def test_two_thousand_callers_may_wait_if_nothing_is_said():
    async def scene():
        batch = MicroBatch(Squares())
        return await ask(batch, range(2002))

    answers = asyncio.run(scene())
    assert [each for each in answers if isinstance(each, int)] == [key * key for key in range(2000)]
    assert [str(each) for each in answers[2000:]] == [
        "overloaded: 2000 requests are waiting; try again, or add replicas"
    ] * 2


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time is set by hand, and goes on by itself only while everything sleeps."""

    ahead = 0.0

    def time(self):
        return super().time() + self.ahead


def on_clock(scene):
    loop = Clock()
    try:
        return loop.run_until_complete(scene(loop))
    finally:
        loop.close()


@pytest.mark.parametrize(("waited", "refused"), [(2.0, False), (3.0, True)])
def test_who_waited_longer_than_two_and_a_half_seconds_is_refused_when_others_are_called(waited, refused):
    async def scene(loop):
        call = Squares(0.05)
        batch = MicroBatch(call, in_flight=1)
        first = asyncio.create_task(batch(1))
        await asyncio.sleep(0.01)
        old = asyncio.create_task(batch(2))
        await asyncio.sleep(0)
        loop.ahead = waited
        young = asyncio.create_task(batch(3))
        return await asyncio.gather(first, old, young, return_exceptions=True)

    first, old, young = on_clock(scene)
    assert (first, young) == (1, 9)
    if refused:
        assert isinstance(old, EnvironmentFault)
        assert str(old) == "overloaded: the request waited 2.5 s; try again, or add replicas"
    else:
        assert old == 4


@pytest.mark.parametrize(("takes", "given_up"), [(9.0, False), (10.8, True)])
def test_a_call_may_take_ten_seconds_if_nothing_is_said(takes, given_up):
    async def scene(loop):
        held = loop.create_future()

        async def call(keys):
            await held
            return keys

        answer = asyncio.create_task(MicroBatch(call)(7))
        await asyncio.sleep(0.01)
        loop.ahead = takes
        await asyncio.sleep(0.01)
        if not held.done():
            held.set_result(None)
        return (await asyncio.gather(answer, return_exceptions=True))[0]

    found = on_clock(scene)
    if given_up:
        assert str(found) == "the graph did not answer within 10 s; try again"
    else:
        assert found == 7


def test_a_call_that_gives_too_few_answers_fails_who_got_none():
    async def call(keys):
        return keys[:1]

    first, second = asyncio.run(ask(MicroBatch(call), [1, 2]))
    assert first == 1
    assert isinstance(second, ValueError)


def test_callers_of_a_replica_that_goes_down_are_told():
    async def scene():
        batch = MicroBatch(Squares(30), in_flight=1)
        asked = [asyncio.create_task(batch(key)) for key in (1, 2)]
        await asyncio.sleep(0.01)
        (running,) = batch._running
        running.cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return found, running.cancelled()

    found, cancelled = asyncio.run(scene())
    assert [str(each) for each in found] == ["this replica is shutting down; try again"] * 2
    assert all(isinstance(each, EnvironmentFault) for each in found)
    assert cancelled


def test_a_caller_that_gives_up_during_the_call_does_not_disturb_the_others():
    async def scene(fail):
        call = Squares(0.02, fail)
        batch = MicroBatch(call)
        first, second = asyncio.create_task(batch(1)), asyncio.create_task(batch(2))
        await asyncio.sleep(0.01)
        first.cancel()
        return (await asyncio.gather(second, return_exceptions=True))[0], batch

    answer, batch = asyncio.run(scene(False))
    assert (answer, batch._running) == (4, set())
    assert isinstance(asyncio.run(scene(True))[0], FeatureStoreError)


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
