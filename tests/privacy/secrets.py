"""Secrets that are none, made to look like those of well-known makers; split, so that no scanner takes them as real."""

from __future__ import annotations

_HEX, _WORD = "0123456789abcdef" * 8, "aZ3bY4cX5dW6eV7fU8gT9h" * 8

SECRETS = {
    "otel-replay-key": "orpl" + f"_0123abcd_{_WORD[:43]}",
    "anthropic-key": "sk-" + f"ant-api03-{_WORD[:40]}-{_WORD[:20]}",
    "openai-key": "sk-" + f"proj-{_WORD[:48]}",
    "api-key": "sk-" + _WORD[:48],
    "aws-key-id": "AKIA" + "IOSFODNN7EXAMPLE",
    "github-token": "ghp" + f"_{_WORD[:36]}",
    "gitlab-token": "glpat" + f"-{_WORD[:20]}",
    "slack-token": "xoxb" + "-1234567890-abcdefGHIJ",
    "google-key": "AIza" + _WORD[:35],
    "google-token": "ya29" + f".{_WORD[:40]}",
    "stripe-key": "sk" + f"_live_{_WORD[:24]}",
    "huggingface-token": "hf" + f"_{_WORD[:34]}",
    "groq-key": "gsk" + f"_{_WORD[:52]}",
    "xai-key": "xai" + f"-{_WORD[:80]}",
    "nvidia-key": "nvapi" + f"-{_WORD[:60]}",
    "replicate-token": "r8" + f"_{_WORD[:37]}",
    "databricks-token": "dapi" + _HEX[:32],
    "npm-token": "npm" + f"_{_WORD[:36]}",
    "sendgrid-key": "SG" + f".{_WORD[:22]}.{_WORD[:43]}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.{_WORD[:43]}",
    "private-key": f"-----BEGIN RSA PRIVATE KEY-----\nMII{_WORD[:60]}\n{_WORD[:64]}\n-----END RSA PRIVATE KEY-----",
    "credit-card": "4111 1111 1111 1111",
}
"""Rule to a whole secret that it finds."""

IN_CONTEXT = [
    ("bearer-token", "Authorization: Bearer {}", _WORD[:32]),
    ("url-password", "postgres://app:{}@db.example:5432/shop", "hunter2-of-db"),
    ("url-password", "https://user:{}@example.com/x", "p%40ss"),
    ("slack-webhook", "https://hooks.slack.com/services/{}", "T00000000/B00000000/XXXXXXXXXXXX"),
    ("azure-key", "AccountName=a;AccountKey={};EndpointSuffix=x", _WORD[:60] + "=="),
    ("credit-card", "card {} please", "5555555555554444"),
    ("credit-card", "amex {}, thanks", "3782-822463-10005"),
    ("secret-key", "login with password={} now", "hunter2"),
    ("secret-key", 'cut off {{"user":"a","password":"{}', "hunter2 and more"),
    ("secret-key", "https://api.example/v1?api_key={}&page=2", "0123456789"),
    ("secret-key", "db_password: {}", "s3cret!"),
]
"""Rule, text with a place for the secret, secret."""

HARMLESS = [
    "task-1234567890 of risk-management",
    "the password must be eight letters long",
    "token: 12345, tokens: 99, max_token=5",
    '{"gen_ai.usage.input_tokens": 12, "token": 7, "password": ""}',
    "at 1763600000123456789 ns, id 4111111111111112",
    "order 1234567890123456 and 0.4111111111111111",
    "https://example.com/@someone and mailto:a@b.example",
    "sk-learn, sk-short, AKIA, ghp_, eyJ",
    "[redacted:api-key] password=[redacted:secret-key]",
    "4111111111111111abcdef0123456789",
]
