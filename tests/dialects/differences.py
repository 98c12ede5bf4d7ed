"""What each dialect lacks of the conversation, or says in another way, and why: no other difference is allowed."""

from __future__ import annotations

from tests.dialects.conversation import ANTHROPIC, CALL_ID, GEMINI, OPENAI
from tests.dialects.dialect import EVERYTHING, WITH_EMBEDDING, WITH_REFUSAL, But, Dialect, history, lost, of, picture
from tests.dialects.reasons import (
    ABANDONED_FAILS,
    NO_EMBEDDED,
    NO_FINISH,
    NO_FIRST_TOKEN,
    NO_PARTIAL,
    NO_PROVIDER,
    ONE_MODEL,
    UNREAD,
    WEATHER_PART,
)

OTEL = {**ABANDONED_FAILS, **NO_EMBEDDED}
OTEL_CHAT = {**OTEL, **of("abandoned", "finish_reasons", ["error"], "its word for an abandoned stream")}

OPENLLMETRY = of("*", "cache_write_tokens", None, "reads of the cache only")

LANGFUSE = {
    **NO_PROVIDER,
    **of("*", "request_model", None, ONE_MODEL),
    **of("error", "response_model", OPENAI.model, ONE_MODEL),
    **picture(
        {
            "type": "uri",
            "uri": "@@@langfuseMedia:type=image/png|id=vAnCWQ0lAsj_rxo8CaqJ3y|source=base64_data_uri@@@",
        },
        "pictures go to Langfuse's own store",
    ),
}

MLFLOW_PICTURE = picture({"type": "uri", "uri": "mlflow-attachment://"}, "pictures go to MLflow's own store")
MLFLOW = {
    **lost("abandoned", UNREAD),
    **NO_PROVIDER,
    **MLFLOW_PICTURE,
}

MLFLOW_STREAM = "of a stream it keeps the Python object only"
STREAM_OBJECT = [{"role": "assistant", "parts": [{"type": "text", "content": "<anthropic.Stream object at >"}]}]

LOGFIRE_APART = "the answer to a stream is told by a second span"
LOGFIRE = {
    **NO_FIRST_TOKEN,
    "stream, more": But(1, LOGFIRE_APART),
    **of("stream", "output finish_reasons", None, LOGFIRE_APART),
    **of("stream", "input_tokens output_tokens cache_read_tokens cache_write_tokens", None, LOGFIRE_APART),
    **of("stream", "reasoning_tokens", None, LOGFIRE_APART),
    **of("abandoned", "output", None, LOGFIRE_APART),
    "abandoned, more": But(1, LOGFIRE_APART),
}
LOGFIRE_OPENAI = {**LOGFIRE, **of("stream error abandoned", "response_model", OPENAI.model, ONE_MODEL)}
LOGFIRE_ANTHROPIC = {
    **LOGFIRE,
    **of("abandoned", "input_tokens output_tokens cache_read_tokens cache_write_tokens", None, LOGFIRE_APART),
    **of("stream error abandoned", "response_model", ANTHROPIC.model, ONE_MODEL),
}


DIALECTS: tuple[Dialect, ...] = (
    Dialect("openai_chat", ("otel",), steps=EVERYTHING, differs=OTEL_CHAT),
    Dialect("openai_chat", ("otel_events",), steps=EVERYTHING, differs=OTEL_CHAT),
    Dialect("openai_chat", ("openinference",), steps=EVERYTHING),
    Dialect(
        "openai_chat",
        ("openllmetry",),
        steps=EVERYTHING,
        differs={
            **OPENLLMETRY,
            **of("stream", "reasoning_tokens", None, "not of streams"),
            **of("image", "input", None, "loses messages whose pictures nobody uploads"),
        },
    ),
    Dialect(
        "openai_chat",
        ("langfuse",),
        steps=EVERYTHING,
        differs={**LANGFUSE, **of("question answer image retried", "finish_reasons", None, "only of streams")},
    ),
    Dialect("openai_chat", ("mlflow",), steps=EVERYTHING, differs=MLFLOW),
    Dialect(
        "openai_chat",
        ("logfire",),
        steps=EVERYTHING,
        differs={**LOGFIRE_OPENAI, **NO_EMBEDDED},
    ),
    Dialect(
        "openai_chat",
        ("openlit",),
        environment="openlit",
        steps=EVERYTHING,
        differs={
            **lost("abandoned", UNREAD),
            **of("*", "reasoning_tokens", None, "does not count them"),
            **of("error", "input temperature max_tokens", None, "writes the request down with the answer"),
            **picture(None, "leaves pictures out"),
            **history(1, [], "loses the tool calls of earlier turns"),
        },
    ),
    Dialect("openai_responses", ("otel",), steps=WITH_REFUSAL, differs={**ABANDONED_FAILS, **NO_PARTIAL}),
    Dialect(
        "openai_responses",
        ("openinference",),
        steps=WITH_REFUSAL,
        differs={
            **NO_FINISH,
            **NO_PARTIAL,
            **of("abandoned error", "response_model", OPENAI.model, ONE_MODEL),
        },
    ),
    Dialect(
        "openai_responses",
        ("openllmetry",),
        steps=WITH_REFUSAL,
        differs={
            **OPENLLMETRY,
            **NO_PARTIAL,
            **NO_FIRST_TOKEN,
            **of("abandoned", "response_model", None, "reads it from the whole answer"),
            "question.output": But(
                [{"role": "assistant", "parts": [{**WEATHER_PART, "id": f"fc_{CALL_ID}"}]}],
                "the id of the item, which no result refers to",
            ),
        },
    ),
    Dialect("openai_responses", ("langfuse",), steps=WITH_REFUSAL, differs={**LANGFUSE, **NO_FINISH, **NO_PARTIAL}),
    Dialect("openai_responses", ("mlflow",), steps=WITH_REFUSAL, differs={**MLFLOW, **NO_FINISH}),
    Dialect("openai_responses", ("logfire",), steps=WITH_REFUSAL, differs={**LOGFIRE_OPENAI, **NO_FINISH}),
    Dialect(
        "anthropic_messages",
        ("own",),
        ANTHROPIC,
        steps=WITH_REFUSAL,
        differs={
            **of("stream abandoned", "output", None, "keeps no content of streamed answers"),
            **of("abandoned", "output_tokens", None, "reads it from the last event"),
            **of("*", "tools", None, "keeps no definitions of tools"),
            **of("error", "error", False, "names the kind of error only"),
            **picture({"type": "anthropic_image"}, "leaves pictures out"),
        },
    ),
    Dialect("anthropic_messages", ("otel",), ANTHROPIC, steps=WITH_REFUSAL, differs=ABANDONED_FAILS),
    Dialect(
        "anthropic_messages",
        ("openinference",),
        ANTHROPIC,
        steps=WITH_REFUSAL,
        differs={**NO_FIRST_TOKEN, **of("error", "response_model", ANTHROPIC.model, ONE_MODEL)},
    ),
    Dialect(
        "anthropic_messages",
        ("openllmetry",),
        ANTHROPIC,
        steps=WITH_REFUSAL,
        differs={
            **lost("abandoned", UNREAD),
            **of("*", "reasoning_tokens", None, "does not count them"),
            **of("stream", "first_token", False, "says nothing of the first token"),
            **of("stream", "output_tokens", 15, "adds the 1 of the first event to the sum in the last"),
        },
    ),
    Dialect(
        "anthropic_messages",
        ("mlflow",),
        ANTHROPIC,
        steps=WITH_REFUSAL,
        differs={
            **NO_FIRST_TOKEN,
            **of("stream abandoned", "output", STREAM_OBJECT, MLFLOW_STREAM),
            **of(
                "stream abandoned",
                "input_tokens output_tokens cache_read_tokens cache_write_tokens",
                None,
                MLFLOW_STREAM,
            ),
            **of("stream abandoned", "response_model", None, MLFLOW_STREAM),
            **of("stream", "finish_reasons reasoning_tokens", None, MLFLOW_STREAM),
            **MLFLOW_PICTURE,
        },
    ),
    Dialect("anthropic_messages", ("logfire",), ANTHROPIC, steps=WITH_REFUSAL, differs=LOGFIRE_ANTHROPIC),
    Dialect(
        "anthropic_messages",
        ("openlit",),
        ANTHROPIC,
        environment="openlit",
        steps=WITH_REFUSAL,
        differs={
            **lost("error", "writes everything down with the answer"),
            **lost("refused", "writes everything down with the answer"),
            **lost("abandoned", UNREAD),
            **of("*", "reasoning_tokens", None, "does not count them"),
            **of("question answer stream image retried", "temperature", 1.0, "its own, where none was asked for"),
            **picture(None, "leaves pictures out"),
        },
    ),
    Dialect(
        "gemini",
        ("otel",),
        GEMINI,
        steps=WITH_EMBEDDING,
        differs={
            **OTEL,
            **NO_PARTIAL,
            **of("embedding", "input_tokens response_model", None, "Gemini says neither of embeddings"),
        },
    ),
)
