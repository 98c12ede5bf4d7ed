"""Pictures, sounds and files in messages, in whatever shape an API has them, to ``blob``, ``uri``, ``file``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_replay.genai.values import at_path, compact, first_said

Part = dict[str, Any]
Object = Mapping[str, Any]
Read = Callable[[Object], Part | None]

_MEDIA = frozenset(("image", "audio", "video"))
_SCHEME_CHARACTERS = 40


def media(place: Any, modality: str = "", mime_type: Any = None) -> Part | None:
    """A picture, sound or file by its URL: a data URL is the thing itself. None for what is no URL."""
    if not isinstance(place, str) or not place:
        return None
    if place.startswith("data:"):
        head, comma, content = place[5:].partition(",")
        mime_type = head.partition(";")[0] or mime_type
        return blob(content, mime_type, modality) if comma else None
    kind = modality or _modality(mime_type)
    return {"type": "uri", "modality": kind, **compact({"mime_type": mime_type}), "uri": place}


def blob(content: Any, mime_type: Any, modality: str = "") -> Part:
    """Bytes in base64."""
    kind = modality or _modality(mime_type)
    return {"type": "blob", "modality": kind, **compact({"mime_type": mime_type}), "content": content}


def _modality(mime_type: Any) -> str:
    kind = mime_type.partition("/")[0] if isinstance(mime_type, str) else ""
    return kind if kind in _MEDIA else "document"


def _stored(identity: Any, modality: Any = "", mime_type: Any = None) -> Part | None:
    """A file that the provider has already."""
    said = {"type": "file", "modality": modality, "mime_type": mime_type, "file_id": identity}
    return compact(said) if identity else None


def _image_url(item: Object) -> Part | None:
    """OpenAI's, in chats and in Responses."""
    named = item.get("image_url")
    url = named.get("url") if isinstance(named, Mapping) else named
    return media(url, "image") or _stored(item.get("file_id"), "image")


def _image(item: Object) -> Part | None:
    """Anthropic's, with a source, or the Vercel AI SDK's."""
    if isinstance(item.get("source"), Mapping):
        return _from_source(item["source"], "image")
    return _from_data(item, item.get("image"), "image")


def _document(item: Object) -> Part | None:
    return _from_source(item["source"], "") if isinstance(item.get("source"), Mapping) else None


def _from_source(source: Object, modality: str) -> Part | None:
    """Anthropic's base64, text, url and file sources."""
    if source.get("type") == "text":
        return {"type": "text", "content": source.get("data")}
    if source.get("data") is not None:
        return _from_data(source, source["data"], modality)
    return media(source.get("url"), modality) or _stored(source.get("file_id"), modality)


def _from_data(item: Object, data: Any, modality: str = "") -> Part | None:
    """A URL or base64, which has no colon; where libraries keep files apart, the address of one."""
    mime_type = first_said(item, "mediaType", "mimeType", "mime_type", "media_type")
    if not isinstance(data, str):
        return None
    if ":" in data[:_SCHEME_CHARACTERS]:
        return media(data, modality, mime_type)
    return blob(data, mime_type, modality)


def _audio(item: Object) -> Part | None:
    sound = item.get("input_audio")
    if not isinstance(sound, Mapping) or sound.get("data") is None:
        return None
    return blob(sound["data"], f"audio/{sound['format']}" if sound.get("format") else None, "audio")


def _file(item: Object) -> Part | None:
    """OpenAI's, under ``file`` or not, the Vercel AI SDK's, or the conventions' own."""
    named = item.get("file")
    source = named if isinstance(named, Mapping) else item
    found = _from_data(source, first_said(source, "file_data", "file_url", "url", "data"))
    found = found or _stored(source.get("file_id"), source.get("modality"), source.get("mime_type"))
    return {**found, **compact({"filename": source.get("filename")})} if found else None


def _inline_data(item: Object) -> Part | None:
    """Gemini's."""
    data = first_said(item, "inline_data", "inlineData")
    return blob(data.get("data"), first_said(data, "mime_type", "mimeType")) if isinstance(data, Mapping) else None


def _file_data(item: Object) -> Part | None:
    """Gemini's."""
    data = first_said(item, "file_data", "fileData")
    if not isinstance(data, Mapping):
        return None
    return media(first_said(data, "file_uri", "fileUri"), mime_type=first_said(data, "mime_type", "mimeType"))


def _uri(item: Object) -> Part | None:
    """Some libraries call every URL so, data URLs as well."""
    found = media(item.get("uri"), _word(item.get("modality")), item.get("mime_type"))
    return found if found and found["type"] == "blob" else None


def _blob(item: Object) -> Part | None:
    """Logfire has Anthropic's name for the type."""
    if item.get("mime_type") is not None or item.get("media_type") is None:
        return None
    return blob(item.get("content"), item["media_type"], _word(item.get("modality")))


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _genkit_media(item: Object) -> Part | None:
    return media(at_path(item, "media", "url"), mime_type=at_path(item, "media", "contentType"))


MEDIA_TYPED: Mapping[str, Read] = {
    **dict.fromkeys(("image_url", "input_image"), _image_url),
    "image": _image,
    "input_audio": _audio,
    "document": _document,
    **dict.fromkeys(("file", "input_file"), _file),
    "uri": _uri,
    "blob": _blob,
}
"""By ``type``: the conventions, OpenAI, Anthropic, Vercel AI SDK."""

MEDIA_UNTYPED: Mapping[str, Read] = {
    **dict.fromkeys(("inline_data", "inlineData"), _inline_data),
    **dict.fromkeys(("file_data", "fileData"), _file_data),
    "media": _genkit_media,
}
"""By the key that a part without a type has: Gemini, Genkit."""
