"""OTLP and recordings in: two transports, one handler, one table of answers."""
