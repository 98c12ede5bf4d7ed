"""A page that people record themselves: buttons to start, pause and stop, and a link to what was recorded.

``python -m otel_replay.examples.recorded_page`` serves it beside a running receiver. ``static/`` is the page with the
recorder as a script; ``react/`` is the same with React and the hook ``useSessionRecording``.
"""
