"""OTLP as bytes: attributes to Python, thin slices of a request, validation, the JSON mapping. Pure."""
