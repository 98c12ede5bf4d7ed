"""Manifest, presets and documentation agree: with each other, with the Collector, and with what is understood here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from otel_replay.genai.identity import SESSION_KEYS
from otel_replay.genai.interpret import AI_KEYS
from otel_replay.genai.told import CONTENT_EVENT_KEYS, CONTENT_KEYS, CONTENT_PREFIXES
from tests.collector.processes import PRESETS, ROOT, built, preset

pytestmark = pytest.mark.feature("C6")

NAMES = sorted(path.stem for path in PRESETS.glob("*.yaml") if path.stem != "builder")
MANIFEST = (PRESETS / "builder.yaml").read_text()
RELEASE = MANIFEST.partition("  version: ")[2].split()[0]
DOCUMENT = (ROOT / "docs" / "collector.md").read_text()
BLOCKS: list[str] = re.findall(r"^```yaml\n(.+?)^```", DOCUMENT, re.M | re.S)
CONFIGURATIONS = [block for block in BLOCKS if "apiVersion" not in block]
MANIFESTS = [block for block in BLOCKS if "apiVersion" in block]
KINDS = ("receivers", "processors", "exporters", "extensions")


def validate(*configurations: Path) -> None:
    """By the Collector, as one configuration."""
    named = [part for path in configurations for part in ("--config", str(path))]
    done = subprocess.run([built(), "validate", *named], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def components(configuration: str) -> set[str]:
    """``processors/filter`` and the like, without the names behind a second slash."""
    found = set()
    for kind in KINDS:
        section = re.search(rf"^{kind}:\n((?:(?: .*)?\n)+)", configuration, re.M)
        found |= {f"{kind}/{name}" for name in re.findall(r"^  (\w+)", section[1] if section else "", re.M)}
    return found


def test_the_presets_are_those_that_are_promised() -> None:
    assert NAMES == ["browser", "fan-out", "gateway", "local", "redact", "sample", "scale"]


@pytest.mark.parametrize("name", NAMES)
def test_the_collector_takes_the_preset(name: str) -> None:
    validate(preset(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_says_what_flows_where_and_keeps_the_ports(name: str) -> None:
    text = preset(name).read_text()
    head = text[: text.index("receivers:")]
    assert all(line.startswith("# ") for line in head.splitlines())
    assert "->" in head
    assert "${env:COLLECTOR_GRPC:-127.0.0.1:4317}" in text
    assert "${env:COLLECTOR_HTTP:-127.0.0.1:4318}" in text
    assert "127.0.0.1:14317" in text
    used = set(re.findall(r"\$\{env:(\w+)", text))
    assert [variable for variable in sorted(used) if variable not in head] == []
    assert [
        variable for variable in re.findall(r"\b(?:COLLECTOR|SAMPLE|REDACT|BACKEND)_\w+", head) if variable not in used
    ] == []


def test_the_manifest_has_what_the_presets_use_and_no_more() -> None:
    """The Collector itself says which components it was built with."""
    done = subprocess.run([built(), "components"], capture_output=True, text=True, timeout=60, check=True)
    has = set()
    for kind in KINDS:
        section = re.search(rf"^{kind}:\n((?: .*\n)+)", done.stdout, re.M)
        assert section is not None
        has |= {f"{kind}/{name}" for name in re.findall(r"^    - name: (\w+)", section[1], re.M)}
    assert has == set().union(*(components(preset(name).read_text()) for name in NAMES))


def test_the_manifest_is_of_one_release() -> None:
    versions = re.findall(r"gomod: \S+/(?:receiver|processor|exporter|extension)/\S+ v(\S+)$", MANIFEST, re.M)
    assert set(versions) == {RELEASE}
    assert len(versions) == MANIFEST.count("gomod:") - MANIFEST.count("/provider/")


def expressions(name: str, function: str) -> list[re.Pattern[str]]:
    """Second arguments of an OTTL function in a preset, as Python's expressions; RE2's, as used here, are the same."""
    found = re.findall(rf'{function}\([^"\n]*?, "((?:[^"\\]|\\.)*)"', preset(name).read_text())
    return [re.compile(re.sub(r"\\(.)", r"\1", text)) for text in found]


@pytest.mark.parametrize("name", ["fan-out", "sample"])
@pytest.mark.parametrize("key", sorted({*AI_KEYS, *SESSION_KEYS}))
def test_what_is_a_call_or_names_a_session_is_kept(name: str, key: str) -> None:
    """The presets look for keys as ``Keys(...)`` writes them."""
    assert any(expression.search(f'["a","{key}","z"]') for expression in expressions(name, "IsMatch"))


@pytest.mark.parametrize("name", ["fan-out", "sample"])
def test_what_is_neither_is_not(name: str) -> None:
    plain = '["http.route","db.system.name","server.address","thread.id","faas.id","messaging.message.id"]'
    assert [one.pattern for one in expressions(name, "IsMatch") if one.search(plain)] == []


@pytest.mark.parametrize(
    "key", sorted({*CONTENT_KEYS, *CONTENT_EVENT_KEYS, *(f"{one}0.x" for one in CONTENT_PREFIXES)})
)
def test_all_content_can_be_dropped(key: str) -> None:
    assert any(expression.search(key) for expression in expressions("redact", "delete_matching_keys"))


def test_facts_about_a_call_are_no_content() -> None:
    facts = [
        "gen_ai.usage.input_tokens",
        "gen_ai.tool.name",
        "session.id",
        "llm.model_name",
        "ai.response.model",
        "events.x",
    ]
    of_spans = expressions("redact", "delete_matching_keys")[0]
    assert [key for key in facts[:-1] if of_spans.search(key)] == []


def test_the_documentation_shows_configurations() -> None:
    assert len(CONFIGURATIONS) >= 2
    assert [name for name in NAMES if f"{name}.yaml" not in DOCUMENT] == []


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=range(len(CONFIGURATIONS)))
def test_the_collector_takes_what_the_documentation_shows(block: str, tmp_path: Path) -> None:
    """Whole, or added to a Collector that somebody has."""
    existing, added = tmp_path / "existing.yaml", tmp_path / "added.yaml"
    existing.write_text(EXISTING)
    added.write_text(block)
    validate(existing, added)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=range(len(MANIFESTS)))
def test_what_a_pod_is_told_fits_the_preset(manifest: str) -> None:
    pod = yaml.safe_load(manifest)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    mounted = {volume["name"]: volume["mountPath"] for volume in container["volumeMounts"]}
    name = Path(container["args"][1])
    used = set(re.findall(r"\$\{env:(\w+)", preset(name.stem).read_text()))
    told = {one["name"]: one.get("value", "") for one in container["env"]}
    assert set(told) - used == {"GOMEMLIMIT"}
    assert str(name.parent) == mounted["config"]
    assert told["COLLECTOR_QUEUE"].startswith(mounted["queue"])
    ports = [told[variable].rpartition(":")[2] for variable in ("COLLECTOR_GRPC", "COLLECTOR_HTTP")]
    assert ports == [str(port["containerPort"]) for port in container["ports"]]
    assert told["COLLECTOR_HEALTH"].endswith(f":{container['readinessProbe']['httpGet']['port']}")
    assert f":{RELEASE}" in container["image"]


def test_the_unit_names_variables_of_the_preset() -> None:
    unit = re.search(r"^```ini\n(.+?)^```", DOCUMENT, re.M | re.S)
    assert unit is not None
    name = re.search(r"--config \S+/([\w-]+)\.yaml", unit[1])
    assert name is not None
    used = set(re.findall(r"\$\{env:(\w+)", preset(name[1]).read_text()))
    assert set(re.findall(r"\b(?:COLLECTOR|OTEL_REPLAY)_\w+", unit[1])) <= used


EXISTING = """\
receivers:
  otlp:
    protocols:
      grpc:
exporters:
  otlp_http:
    endpoint: http://127.0.0.1:24318
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlp_http]
    logs:
      receivers: [otlp]
      exporters: [otlp_http]
"""
