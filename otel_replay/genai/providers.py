"""Provider names: old, product and library spellings to the values of ``gen_ai.provider.name``."""

from __future__ import annotations

from functools import lru_cache

ALIASES = {
    "amazon-bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "aws_bedrock": "aws.bedrock",
    "bedrock": "aws.bedrock",
    "bedrock.anthropic": "aws.bedrock",
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.inference",
    "azure-openai": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "api.anthropic.com": "anthropic",
    "api.openai.com": "openai",
    "gcp.vertex.agent": "gcp.gen_ai",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "google-genai": "gcp.gen_ai",
    "google-gla": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "google.generative-ai": "gcp.gemini",
    "google.vertex": "gcp.vertex_ai",
    "google_genai": "gcp.gen_ai",
    "google_vertexai": "gcp.vertex_ai",
    "googleai": "gcp.gemini",
    "vertex.anthropic": "gcp.vertex_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "ibm.watson.ai": "ibm.watsonx.ai",
    "watsonx": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "moonshotai": "moonshot_ai",
    "xai": "x_ai",
}
"""Spellings seen in the wild (lower case) to the semantic conventions' own; unknown names stay as they are."""

PRODUCTS_OF_HOSTS = {
    ("azure.ai.inference", "openai"): "azure.ai.openai",
    ("gcp.gen_ai", "vertexai"): "gcp.vertex_ai",
}
"""Where a dialect tells the host and whose product it runs apart."""

_APIS = frozenset(
    ("chat", "completion", "embedding", "generative-ai", "image", "messages", "responses", "speech", "transcription")
)
"""What the Vercel AI SDK adds after a dot: the API of the provider."""


def provider_name(name: str, product: str = "") -> str:
    """The conventions' spelling of a provider: lower case, aliases resolved, without the API it was asked by.

    ``product`` is whose models they are, where the provider only is their host.
    """
    return (_kept if len(name) + len(product) <= _KEPT_CHARACTERS else _provider_name)(name, product)


_KEPT_CHARACTERS = 100


def _provider_name(name: str, product: str) -> str:
    provider = _resolved(name.strip().lower())
    return PRODUCTS_OF_HOSTS.get((provider, product.lower()), provider)


_kept = lru_cache(1024)(_provider_name)


def _resolved(name: str) -> str:
    before, _, api = name.rpartition(".")
    name = before if name not in ALIASES and before and api in _APIS else name
    return ALIASES.get(name, name)
