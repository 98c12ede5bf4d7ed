"""The load generator of ``otel-replay bench``: what it sends, how it sends it, and how it checks what arrived.

It lives with the benchmarks, in tests/bench/load; the wheel carries it as ``otel_replay._bench``. Linux only, and it
needs a C compiler with nghttp2's headers for its client.
"""
