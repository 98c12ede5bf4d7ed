"""LangChain's chat model for OpenAI."""

# mypy: disable-error-code="import-not-found,untyped-decorator"
from __future__ import annotations

import json
from contextlib import suppress
from itertools import islice
from typing import Any

import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import (
    COUNT,
    DATA_URL,
    EMBEDDED,
    FAIL,
    FOLLOW_UP,
    LOOK,
    MAX_TOKENS,
    QUESTION,
    SYSTEM,
    TEMPERATURE,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    TOOL_RESULT,
)
from tests.dialects.conversation import OPENAI as VENDOR


@tool(TOOL_NAME, description=TOOL_DESCRIPTION)
def get_weather(city: str) -> str:
    return json.dumps(TOOL_RESULT)


def play(stub: str, key: str) -> None:
    address: dict[str, Any] = {"base_url": f"{stub}/v1", "api_key": key, "max_retries": 0}
    model: Any = ChatOpenAI(
        model=VENDOR.model, temperature=TEMPERATURE, max_tokens=MAX_TOKENS, stream_usage=True, **address
    )
    with_tools = model.bind_tools([get_weather])
    history: list[Any] = [SystemMessage(SYSTEM), HumanMessage(QUESTION)]
    with step("tools"):
        asked: AIMessage = with_tools.invoke(history)
        result: ToolMessage = get_weather.invoke(asked.tool_calls[0])
        history += [asked, result]
        answer = with_tools.invoke(history)
    with step("stream"):
        history += [answer, HumanMessage(FOLLOW_UP)]
        for _ in model.stream(history):
            pass
    with step("error"), suppress(openai.InternalServerError):
        model.invoke([HumanMessage(FAIL)])
    with step("abandoned"):
        stream = model.stream([HumanMessage(COUNT)])
        list(islice(stream, CHUNKS_READ))
        del stream
    with step("image"):
        picture = {"type": "image_url", "image_url": {"url": DATA_URL}}
        model.invoke([HumanMessage([{"type": "text", "text": LOOK}, picture])])
    with step("embedding"):
        embeddings: Any = OpenAIEmbeddings(model=VENDOR.embedding_model, check_embedding_ctx_length=False, **address)
        embeddings.embed_query(EMBEDDED)
