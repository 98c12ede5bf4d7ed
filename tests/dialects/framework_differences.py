"""The same for frameworks, which run tools and agents, and for clients that stand before several providers."""

from __future__ import annotations

from tests.dialects.conversation import OPENAI, TOOL_RESULT
from tests.dialects.dialect import WITH_EMBEDDING, But, Dialect, Differences, history, lost, of
from tests.dialects.reasons import ABANDONED_FAILS, NO_FIRST_TOKEN, NO_PARTIAL, ONE_MODEL, UNREAD, WEATHER_PART


def pydantic_ai(recorder: str) -> Differences:
    return {
        **of("*", "conversation", f"pydantic_agent-{recorder}", "the run's conversation"),
        **of("question answer stream", "agent", "Weather", "calls name their agent"),
        **of("error abandoned image", "agent", "Plain", "calls name their agent"),
        **of("error", "input", None, "writes the messages down with the answer"),
    }


RESULT_WITHOUT_ID = {"role": "tool", "parts": [{"type": "tool_call_response", "id": None, "response": TOOL_RESULT}]}
CALL_WITHOUT_ID = [{"role": "assistant", "parts": [{**WEATHER_PART, "id": None}]}]
VERCEL = {
    **of("abandoned", "first_token", False, "an aborted stream leaves its request only"),
    **of("abandoned", "output response_model", None, "an aborted stream leaves its request only"),
    **of("embedding", "response_model", None, "not of embeddings"),
}

FRAMEWORKS: tuple[Dialect, ...] = (
    Dialect(
        "langchain_chat",
        ("otel",),
        steps=WITH_EMBEDDING,
        differs={
            **ABANDONED_FAILS,
            **NO_PARTIAL,
            **of("abandoned", "response_model", None, "reads it from the whole answer"),
            **lost("embedding", "does not record embeddings"),
        },
        tools=({},),
    ),
    Dialect(
        "langchain_chat",
        ("openinference",),
        steps=WITH_EMBEDDING,
        differs={
            **ABANDONED_FAILS,
            **of("question answer image", "cache_write_tokens", None, "of streams only"),
            **of("abandoned error stream", "response_model", OPENAI.model, ONE_MODEL),
            **NO_FIRST_TOKEN,
            **of("error", "output", [{"role": "assistant", "parts": []}], "an empty answer instead of none"),
            **lost("embedding", "does not record embeddings"),
        },
        tools=({"arguments": "Paris"},),
    ),
    Dialect(
        "openai_agents",
        ("otel",),
        differs={**NO_PARTIAL, **of("*", "conversation", "openai_agents-otel", "the run's group id")},
        tools=({"call_id": None},),
        agents=frozenset(("Agent workflow", "Weather", "Plain")),
    ),
    Dialect(
        "pydantic_agent", ("own",), differs=pydantic_ai("own"), tools=({},), agents=frozenset(("Weather", "Plain"))
    ),
    Dialect(
        "pydantic_agent",
        ("logfire",),
        differs={**pydantic_ai("logfire"), **of("error", "response_model", OPENAI.model, ONE_MODEL)},
        tools=({},),
        agents=frozenset(("Weather", "Plain")),
    ),
    Dialect(
        "litellm_chat",
        ("own",),
        steps=WITH_EMBEDDING,
        differs={
            **lost("abandoned", UNREAD),
            **of("*", "cache_read_tokens cache_write_tokens reasoning_tokens", None, "sums only"),
            **of("embedding", "provider", None, "names none of embeddings"),
            **of("stream", "first_token", False, "says nothing of the first token"),
            **of("stream", "in_trace", False, "a stream ends in a thread that knows no parent"),
            **of("stream", "response_model", OPENAI.model, "a stream's answer is put together anew"),
            **of("question", "output", CALL_WITHOUT_ID, "keeps no id of tool calls"),
        },
    ),
    Dialect(
        "litellm_chat",
        ("openinference",),
        steps=WITH_EMBEDDING,
        differs={
            **NO_FIRST_TOKEN,
            **of("*", "cache_write_tokens", None, "reads of the cache only"),
            **of("*", "request_model", f"openai/{OPENAI.model}", "LiteLLM's own name of the model"),
            **of("question answer stream image", "response_model", f"openai/{OPENAI.model}", ONE_MODEL),
            **of("error abandoned", "response_model", f"openai/{OPENAI.model}", ONE_MODEL),
            **of("embedding", "request_model", f"openai/{OPENAI.embedding_model}", "LiteLLM's own name of the model"),
            **of("embedding", "provider", None, "names none of embeddings"),
            **history(2, [RESULT_WITHOUT_ID], "keeps no id of tool results"),
        },
    ),
    Dialect(
        "vercel",
        ("modern",),
        environment="vercel",
        steps=WITH_EMBEDDING,
        differs={
            **VERCEL,
            "embedding, more": But(1, "two spans, one in the other, say embeddings"),
            **of("embedding", "input input_tokens", None, "the inner span counts, neither tells the input"),
        },
        tools=({},),
        agents=frozenset((None,)),
    ),
    Dialect(
        "vercel",
        ("legacy",),
        environment="vercel",
        steps=WITH_EMBEDDING,
        differs=VERCEL,
        tools=({},),
        agents=frozenset((None,)),
    ),
)
