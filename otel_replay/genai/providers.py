"""Provider names: old and product spellings to the values of ``gen_ai.provider.name``."""

from __future__ import annotations

ALIASES = {
    "aws": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "moonshotai": "moonshot_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Spellings seen in the wild (lower case) to the semantic conventions' own; unknown names stay as they are."""


def provider_name(name: str) -> str:
    """The conventions' spelling of a provider: lower case, aliases resolved."""
    lowered = name.strip().lower()
    return ALIASES.get(lowered, lowered)
