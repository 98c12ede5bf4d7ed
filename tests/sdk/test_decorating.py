"""Sessions and chats as decorators: of functions, coroutines, generators and async generators."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

import pytest
from opentelemetry import baggage

from otel_replay.sdk import chat, session
from tests.sdk.recorded import Recorded
from tests.sdk.recorded import recorded as providers


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    with providers() as made:
        yield made


def current() -> object:
    return baggage.get_baggage("session.id")


def test_a_function_runs_in_a_session_of_its_own(recorded: Recorded) -> None:
    @session(user_id="u1", feature="job")
    def job(number: int) -> object:
        recorded.span(f"{number}")
        return current()

    first, second = job(1), job(2)
    assert job.__name__ == "job"
    assert first != second
    assert recorded.said("1") == {"session.id": first, "user.id": "u1", "feature": "job"}
    assert current() is None


def test_a_session_that_is_named_is_the_same_each_time() -> None:
    @session("s1")
    def job() -> object:
        return current()

    assert [job(), job()] == ["s1", "s1"]


def test_a_recursive_function_is_no_trouble() -> None:
    @session()
    def depth(left: int) -> set[object]:
        return {current()} | (depth(left - 1) if left else set())

    assert len(depth(3)) == 4


def test_coroutines_side_by_side_keep_their_own() -> None:
    @session()
    async def job() -> tuple[object, object]:
        before = current()
        await asyncio.sleep(0)
        return before, current()

    async def both() -> list[tuple[object, object]]:
        return list(await asyncio.gather(job(), job()))

    (one, one_again), (other, other_again) = asyncio.run(both())
    assert (one, other) == (one_again, other_again)
    assert one != other


def test_a_generator_is_inside_and_its_consumer_is_not(recorded: Recorded) -> None:
    @session("inner")
    def produce() -> Generator[object, str, str]:
        received = yield current()
        with chat(conversation_id="c1"):
            recorded.span("between")
            yield received
            recorded.span("later")
        return "done"

    with session("outer"):
        generator = produce()
        seen = [next(generator), current(), generator.send("hello"), current()]
        with pytest.raises(StopIteration) as stopped:
            next(generator)
        assert current() == "outer"
    assert seen == ["inner", "outer", "hello", "outer"]
    assert stopped.value.value == "done"
    expected = {"session.id": "inner", "gen_ai.conversation.id": "c1"}
    assert recorded.said("between") == recorded.said("later") == expected


def test_a_generator_gets_what_is_thrown_into_it_and_ends_when_it_is_closed() -> None:
    seen: list[object] = []

    @session("s1")
    def produce() -> Generator[str, None, None]:
        try:
            yield "first"
        except KeyError:
            yield "caught"
        finally:
            seen.append(current())

    generator = produce()
    assert next(generator) == "first"
    assert generator.throw(KeyError()) == "caught"
    generator.close()
    assert seen == ["s1"]
    assert current() is None


def test_an_async_generator_is_inside_and_its_consumer_is_not(recorded: Recorded) -> None:
    @session("inner")
    async def produce() -> AsyncGenerator[object, str]:
        received = yield current()
        with chat(conversation_id="c1"):
            await asyncio.sleep(0.001)
            recorded.span("between")
            yield received
            await asyncio.sleep(0.001)
            recorded.span("later")

    async def consume() -> list[object]:
        async with session("outer"):
            generator = produce()
            seen = [await anext(generator), current(), await generator.asend("hello"), current()]
            with pytest.raises(StopAsyncIteration):
                await anext(generator)
            return [*seen, current()]

    assert asyncio.run(consume()) == ["inner", "outer", "hello", "outer", "outer"]
    expected = {"session.id": "inner", "gen_ai.conversation.id": "c1"}
    assert recorded.said("between") == recorded.said("later") == expected


def test_an_async_generator_that_is_left_early_is_closed_inside() -> None:
    seen: list[object] = []

    @session("s1")
    async def produce() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            seen.append(current())

    async def consume() -> None:
        async for _ in produce():
            break
        gc.collect()
        await asyncio.sleep(0.01)

    asyncio.run(consume())
    assert seen == ["s1"]


def test_an_async_generator_gets_what_is_thrown_and_what_cancels_it() -> None:
    seen: list[str] = []

    @session("s1")
    async def produce() -> AsyncGenerator[str, None]:
        try:
            yield "first"
        except KeyError:
            yield "caught"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append(f"cancelled in {current()}")
            raise

    async def consume() -> None:
        generator = produce()
        assert await anext(generator) == "first"
        assert await generator.athrow(KeyError()) == "caught"
        waiting = asyncio.ensure_future(anext(generator))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(consume())
    assert seen == ["cancelled in s1"]


def test_chats_decorate_too(recorded: Recorded) -> None:
    @chat("Review", system_prompt="Be brief.")
    def review() -> None:
        recorded.span("review")

    with session("s1"):
        review()
    said = recorded.said("review")
    assert said.pop("gen_ai.conversation.id")
    assert said == {"session.id": "s1", "otel_replay.conversation.name": "Review"}


def test_a_function_that_gives_a_coroutine_is_one(recorded: Recorded) -> None:
    class Tool:
        async def __call__(self) -> str:
            await asyncio.sleep(0)
            recorded.span("inside")
            return "done"

    tool = recorded.session(user_id="u1")(Tool())  # an object is no function by its looks
    assert asyncio.run(tool()) == "done"
    (started,) = recorded.events
    assert recorded.said("inside") == started[1]
    recorded.span("outside")
    assert recorded.said("outside") == {}
