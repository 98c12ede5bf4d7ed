from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class UploadChunkRequest(_message.Message):
    __slots__ = ("session_id", "stream_id", "seq", "events_json", "sent_at_unix_nano")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    stream_id: str
    seq: int
    events_json: bytes
    sent_at_unix_nano: int
    def __init__(self, session_id: _Optional[str] = ..., stream_id: _Optional[str] = ..., seq: _Optional[int] = ..., events_json: _Optional[bytes] = ..., sent_at_unix_nano: _Optional[int] = ...) -> None: ...

class UploadChunkResponse(_message.Message):
    __slots__ = ("seq", "duplicate")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    duplicate: bool
    def __init__(self, seq: _Optional[int] = ..., duplicate: bool = ...) -> None: ...

class UploadChunksResponse(_message.Message):
    __slots__ = ("stored", "duplicates")
    STORED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    stored: int
    duplicates: int
    def __init__(self, stored: _Optional[int] = ..., duplicates: _Optional[int] = ...) -> None: ...

class GetTimelineRequest(_message.Message):
    __slots__ = ("trace_id", "session_id", "conversation_id")
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    trace_id: str
    session_id: str
    conversation_id: str
    def __init__(self, trace_id: _Optional[str] = ..., session_id: _Optional[str] = ..., conversation_id: _Optional[str] = ...) -> None: ...

class GetTimelineResponse(_message.Message):
    __slots__ = ("timeline_json",)
    TIMELINE_JSON_FIELD_NUMBER: _ClassVar[int]
    timeline_json: str
    def __init__(self, timeline_json: _Optional[str] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("user", "feature", "label", "since_unix_nano", "until_unix_nano", "limit", "cursor", "service", "model", "state", "has_error", "text", "page", "tag")
    USER_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    SINCE_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    UNTIL_UNIX_NANO_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    HAS_ERROR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    TAG_FIELD_NUMBER: _ClassVar[int]
    user: str
    feature: str
    label: str
    since_unix_nano: int
    until_unix_nano: int
    limit: int
    cursor: str
    service: str
    model: str
    state: str
    has_error: bool
    text: str
    page: int
    tag: str
    def __init__(self, user: _Optional[str] = ..., feature: _Optional[str] = ..., label: _Optional[str] = ..., since_unix_nano: _Optional[int] = ..., until_unix_nano: _Optional[int] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ..., service: _Optional[str] = ..., model: _Optional[str] = ..., state: _Optional[str] = ..., has_error: bool = ..., text: _Optional[str] = ..., page: _Optional[int] = ..., tag: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions_json",)
    SESSIONS_JSON_FIELD_NUMBER: _ClassVar[int]
    sessions_json: str
    def __init__(self, sessions_json: _Optional[str] = ...) -> None: ...

class GetRecordingRequest(_message.Message):
    __slots__ = ("session_id", "stream_id")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    stream_id: str
    def __init__(self, session_id: _Optional[str] = ..., stream_id: _Optional[str] = ...) -> None: ...

class RecordingPart(_message.Message):
    __slots__ = ("stream_id", "seq", "events_json")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    seq: int
    events_json: bytes
    def __init__(self, stream_id: _Optional[str] = ..., seq: _Optional[int] = ..., events_json: _Optional[bytes] = ...) -> None: ...
