"""Google's GenAI client on Gemini's own API."""

# mypy: disable-error-code="import-untyped"
from __future__ import annotations

import base64
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from google import genai
from google.genai import errors, types

from tests.dialects.apps.steps import CHUNKS_READ, step
from tests.dialects.conversation import (
    COUNT,
    EMBEDDED,
    FAIL,
    FOLLOW_UP,
    LOOK,
    MAX_TOKENS,
    PNG,
    QUESTION,
    SYSTEM,
    TEMPERATURE,
    TOOL_DESCRIPTION,
    TOOL_NAME,
    TOOL_PARAMETERS,
    TOOL_RESULT,
)
from tests.dialects.conversation import GEMINI as VENDOR


def play(stub: str, key: str) -> None:
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=stub))
    generate: Any = partial(client.models.generate_content, model=VENDOR.model)
    stream: Any = partial(client.models.generate_content_stream, model=VENDOR.model)
    history = [_said("user", types.Part(text=QUESTION))]
    with step("tools"):
        called = generate(contents=history, config=_config(system=SYSTEM, tools=True))
        call = called.function_calls[0]
        result = types.FunctionResponse(id=call.id, name=call.name, response=TOOL_RESULT)
        history += [called.candidates[0].content, _said("user", types.Part(function_response=result))]
        answer = generate(contents=history, config=_config(system=SYSTEM, tools=True))
    with step("stream"):
        history += [answer.candidates[0].content, _said("user", types.Part(text=FOLLOW_UP))]
        for _ in stream(contents=history, config=_config(system=SYSTEM)):
            pass
    with step("error"), suppress(errors.ServerError):
        generate(contents=FAIL, config=_config())
    with step("abandoned"):
        pieces = stream(contents=COUNT, config=_config())
        list(islice(pieces, CHUNKS_READ))
        del pieces
    with step("image"):
        picture = types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png")
        generate(contents=[_said("user", types.Part(text=LOOK), picture)], config=_config())
    with step("embedding"):
        client.models.embed_content(model=VENDOR.embedding_model, contents=EMBEDDED)


def _config(system: str | None = None, tools: bool = False) -> Any:
    declared = types.FunctionDeclaration(
        name=TOOL_NAME, description=TOOL_DESCRIPTION, parameters_json_schema=TOOL_PARAMETERS
    )
    return types.GenerateContentConfig(
        system_instruction=system,
        temperature=TEMPERATURE,
        max_output_tokens=MAX_TOKENS,
        tools=[types.Tool(function_declarations=[declared])] if tools else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )


def _said(role: str, *parts: Any) -> Any:
    return types.Content(role=role, parts=list(parts))
