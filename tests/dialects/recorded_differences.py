"""What the recorded dialects lack of the conversation, or say in another way, and why."""

from __future__ import annotations

from tests.dialects.conversation import ANTHROPIC, GEMINI, OPENAI, SYSTEM
from tests.dialects.dialect import WITH_EMBEDDING, Dialect, Differences, history, lost, of, picture
from tests.dialects.reasons import NO_FIRST_TOKEN, NO_PARTIAL, NO_PROVIDER, UNREAD

WITH_IMAGE = ("tools", "stream", "error", "image")
RECORDED_STEPS = (*WITH_IMAGE, "embedding")

ADK_SYSTEM = f'{SYSTEM}\n\nYou are an agent. Your internal name is "Weather".'
ADK: Differences = {
    **of("*", "system", ADK_SYSTEM, "the framework adds to the instructions"),
    **of("question answer stream", "conversation", "adk-session", "its session"),
    **of("image", "conversation", "adk-image", "its session"),
    **of("stream", "first_token", False, "says nothing of the first token"),
    **of("stream image", "tools", ["get_weather"], "the agent has its tool in every call"),
}

REPRESENTED = "{'degrees': 18, 'sky': 'clear'}"
RESULT_AS_PYTHON = {
    "role": "tool",
    "parts": [{"type": "tool_call_response", "id": "call_weather_1", "response": REPRESENTED}],
}

AS_PYTHON = [{"role": "user", "parts": [{"type": "text", "content": "{'messages': []}"}]}]
"""As much of it as is compared."""

RECORDED: tuple[Dialect, ...] = (
    Dialect(
        "google_adk",
        (),
        GEMINI,
        steps=WITH_IMAGE,
        differs={
            **ADK,
            **of("error", "conversation", "adk-error", "its session"),
            **of("error", "tools", ["get_weather"], "the agent has its tool in every call"),
            **of("*", "agent", "Weather", "calls name their agent"),
            **of("*", "response_model temperature", None, "names neither"),
            **picture(
                {"type": "blob", "mime_type": "image/png", "content": None}, "writes that it cannot serialise it"
            ),
        },
        tools=({},),
        agents=frozenset(("Weather",)),
    ),
    Dialect(
        "google_adk_1",
        (),
        GEMINI,
        steps=WITH_IMAGE,
        differs={
            **ADK,
            **lost("error", "the span with the content says nothing of a call that fails"),
            **of("*", "provider", "gcp.gen_ai", "the framework, from which Google follows and no more"),
            **of("stream", "response_model", None, "not of streams"),
            **picture(None, "leaves pictures out"),
        },
        tools=({},),
        agents=frozenset(("Weather",)),
        span="call_llm",
    ),
    Dialect(
        "livekit",
        (),
        steps=("tools", "stream"),
        differs={
            **of("question answer", "first_token", True, "it streams every call"),
            **of("*", "provider", "127.0.0.1:38945", "the host it talks to"),
            **of("*", "response_model", OPENAI.model, "the one asked for"),
            **of("*", "temperature max_tokens", None, "keeps no settings"),
            **of("stream", "tools", ["get_weather"], "the agent has its tool in every call"),
            **history(2, [RESULT_AS_PYTHON], "results are written as Python writes them"),
        },
        tools=({"result": f'"{REPRESENTED}"'},),
        agents=frozenset(("agent_session", "weather", None)),
        span="llm_request",
    ),
    Dialect(
        "laminar",
        (),
        steps=WITH_EMBEDDING,
        differs={
            **NO_PARTIAL,
            **of("*", "cache_write_tokens", None, "reads of the cache only"),
            **of("abandoned", "response_model", None, "reads it from the whole answer"),
            **of("embedding", "operation", "chat", "its spans of embeddings say LLM"),
        },
    ),
    Dialect(
        "langsmith",
        (),
        steps=WITH_EMBEDDING,
        differs={
            **NO_FIRST_TOKEN,
            **of("*", "cache_write_tokens", None, "reads of the cache only"),
            **of("abandoned", "response_model", None, "reads it from the whole answer"),
            **lost("embedding", "does not record embeddings"),
        },
    ),
    Dialect(
        "genkit",
        (),
        GEMINI,
        steps=WITH_IMAGE,
        differs={
            **of("*", "operation", "chat", "a name of ours: it has none"),
            **of("stream", "first_token", False, "says nothing of the first token"),
            **of("stream", "response_model", None, "not of streams"),
        },
        tools=({"call_id": None},),
        agents=frozenset(("tools", "stream", "error", "image")),
    ),
    Dialect(
        "haystack",
        (),
        steps=RECORDED_STEPS,
        differs={
            **NO_PROVIDER,
            **of("*", "request_model", None, "names the model that answered"),
            **of("question answer", "input", AS_PYTHON, "written as Python writes them where there are tools"),
            **of("question answer", "system tools", None, "written as Python writes them where there are tools"),
            **of("question answer error image", "temperature max_tokens", None, "keeps no settings of a component"),
            **of("stream", "first_token", False, "a time without its zone"),
            **picture({"type": "uri", "uri": "Base64 string (96 characters)"}, "leaves pictures out"),
        },
        tools=({"call_id": None},),
        agents=frozenset((None, "weather")),
    ),
    Dialect(
        "spring_ai",
        (),
        steps=WITH_EMBEDDING,
        differs={
            **of("*", "input output system tools", None, "writes what is said into the application's own log"),
            **of("*", "cache_read_tokens cache_write_tokens reasoning_tokens", None, "sums only"),
            **of("answer", "input_tokens", 61 + 97, "counts the calls before it in a loop of tools as well"),
            **of("answer", "output_tokens", 17 + 13, "counts the calls before it in a loop of tools as well"),
            **NO_FIRST_TOKEN,
            **of("abandoned", "response_model", None, "reads it from the whole answer"),
        },
        tools=({"call_id": None},),
        agents=frozenset((None,)),
        repeated=frozenset(("question",)),
    ),
    Dialect(
        "openllmetry_0_40",
        (),
        steps=WITH_EMBEDDING,
        differs={
            **lost("abandoned", UNREAD),
            **of("*", "cache_write_tokens reasoning_tokens", None, "reads of the cache only"),
            **of("stream", "input_tokens output_tokens cache_read_tokens", None, "counts nothing of streams"),
            **of("image", "input", [{"role": "user", "parts": []}], "loses messages with pictures"),
        },
    ),
    Dialect(
        "vercel_4",
        (),
        steps=WITH_EMBEDDING,
        differs={
            **lost("abandoned", UNREAD),
            **of("*", "cache_write_tokens", None, "reads of the cache only"),
            **of("embedding", "response_model", None, "not of embeddings"),
        },
        tools=({},),
        agents=frozenset((None,)),
    ),
    Dialect(
        "vercel_4_anthropic",
        (),
        ANTHROPIC,
        steps=WITH_IMAGE,
        differs=of("*", "reasoning_tokens", None, "does not count them"),
        tools=({},),
        agents=frozenset((None,)),
    ),
    Dialect("vercel_5_anthropic", (), ANTHROPIC, steps=WITH_IMAGE, tools=({},), agents=frozenset((None,))),
    Dialect(
        "vercel_5_gemini",
        (),
        GEMINI,
        steps=WITH_IMAGE,
        differs={
            **of("*", "operation", "chat", "a name of ours: it has none"),
            **of("question answer stream image", "response_model", GEMINI.model, "the one asked for"),
            **of("question", "finish_reasons", ["tool_call"], "its own words for Gemini's reasons"),
        },
        tools=({},),
        agents=frozenset((None,)),
    ),
)
