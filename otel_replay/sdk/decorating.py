"""``@session(...)`` and ``@chat(...)``: every call of a function inside a session or chat of its own.

Plain and async functions are called inside it. A generator is run inside it as well, but in a context of its own, which
its steps share and its consumer does not see: between two steps the code that consumes it is in its own session.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextvars import Context, copy_context
from functools import partial, wraps
from typing import Any, Self, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class Decorating(ABC):
    """Makes a context manager a decorator of functions, coroutines, generators and async generators."""

    @abstractmethod
    def _again(self) -> Self:
        """One like this, not entered yet."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, *exc_info: object) -> None: ...

    def __call__(self, function: F) -> F:
        if inspect.isasyncgenfunction(function):
            wrapper: Callable[..., Any] = self._async_generator(function)
        elif inspect.isgeneratorfunction(function):
            wrapper = self._generator(function)
        elif inspect.iscoroutinefunction(function):
            wrapper = self._coroutine(function)
        else:
            wrapper = self._plain(function)
        return cast(F, wraps(function)(wrapper))

    def _plain(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            scope = self._again()
            with scope:
                made = function(*args, **kwargs)
            return _inside(scope, made) if inspect.iscoroutine(made) else made

        return call

    def _coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return await function(*args, **kwargs)

        return call

    def _generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            scope, context = self._again(), copy_context()
            context.run(scope.__enter__)
            try:
                return (yield from _steps(function(*args, **kwargs), context))
            finally:
                context.run(scope.__exit__, None, None, None)

        return call

    def _async_generator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            scope, context = self._again(), copy_context()
            context.run(scope.__enter__)
            generator = function(*args, **kwargs)
            step: Awaitable[Any] = generator.__anext__()
            try:
                while True:
                    try:
                        item = await _InContext(step, context)
                    except StopAsyncIteration:
                        return
                    try:
                        step = generator.asend((yield item))
                    except GeneratorExit:
                        await _InContext(generator.aclose(), context)
                        raise
                    except BaseException as error:  # noqa: BLE001 - thrown into the generator, which may handle it
                        step = generator.athrow(error)
            finally:
                context.run(scope.__exit__, None, None, None)

        return call


async def _inside(scope: Decorating, made: Awaitable[Any]) -> Any:
    """The coroutine of a function that does not look like one: an object with ``async def __call__``, a wrapper."""
    with scope:
        return await made


def _steps(generator: Generator[Any, Any, Any], context: Context) -> Generator[Any, Any, Any]:
    """What ``yield from`` does, each step in the context."""
    step: Callable[[], Any] = partial(next, generator)
    while True:
        try:
            item = context.run(step)
        except StopIteration as done:
            return done.value
        try:
            step = partial(generator.send, (yield item))
        except GeneratorExit:
            context.run(generator.close)
            raise
        except BaseException as error:  # noqa: BLE001 - thrown into the generator, which may handle it
            step = partial(generator.throw, error)


class _InContext:
    """Awaits in a context that is not the task's: every step between two waits runs in it."""

    def __init__(self, awaited: Awaitable[Any], context: Context) -> None:
        self._awaited = awaited
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from _steps(self._awaited.__await__(), self._context))
