"""How hard the property tests try: ``OTEL_REPLAY_TEST_PROFILE=soak`` for the long counts, ``fast`` for a first look.

No test writes into the spool of whoever runs it: those of the spool choose a place of their own.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("fast", max_examples=10, deadline=None)
settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("soak", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("OTEL_REPLAY_TEST_PROFILE", "default"))

os.environ.setdefault("OTEL_REPLAY_SPOOL", "off")
