"""Where everything is kept: the seam (:mod:`~otel_replay.store.base`), SQLite, and a store in memory."""
