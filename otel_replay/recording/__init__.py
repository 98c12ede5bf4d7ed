"""Recordings: rrweb events, chunks, streams, gaps and what is distilled from them. Pure: no I/O, no clock, no SQL.

Data flows ``events`` (``logs`` for OTLP) -> ``Chunk`` -> ``streams`` -> ``distill`` over ``mirror`` -> ``DomEvent``.
"""
