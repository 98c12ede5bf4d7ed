"""The query module: sessions, timelines and recordings, from a file in this process or from a server."""

from otel_replay.query.local import LocalReplay
from otel_replay.query.recordings import StreamRecording

__all__ = ["LocalReplay", "StreamRecording"]
