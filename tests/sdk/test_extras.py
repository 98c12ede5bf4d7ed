"""What ``pip install 'otel-replay[openai]'`` brings along: instrumentors of one family, one for each library."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from otel_replay.sdk.instrumentors import FAMILIES

EXTRAS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["optional-dependencies"]
MODELS = ("agno", "anthropic", "bedrock", "dspy", "google", "langchain", "llama-index", "openai", "openai-agents")


@pytest.mark.feature("C5")
@pytest.mark.parametrize("extra", MODELS)
def test_an_extra_is_one_instrumentor_of_the_first_family(extra: str) -> None:
    [told] = EXTRAS[extra]
    requirement = Requirement(told)
    assert re.fullmatch(FAMILIES[0], requirement.name)
    assert [one.operator for one in requirement.specifier] == [">="], "their versions are not ours to hold back"
    assert requirement.specifier.contains("1.3b0"), "no release but pre-releases is there yet"


@pytest.mark.feature("C5")
def test_no_other_extra_brings_another_family_along() -> None:
    names = [Requirement(told).name for told in (one for extra in EXTRAS.values() for one in extra)]
    assert not [name for name in names if re.fullmatch(FAMILIES[1], name) or name.startswith("traceloop")]
    clients = {f"opentelemetry-instrumentation-{extra}" for extra in MODELS}
    assert clients.isdisjoint(names), "under these names they are OpenLLMetry's"
