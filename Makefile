# Everyday verbs; `make` lists them. Each installs what it needs and no more, into .venv; stamps make the second run instant.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Another project's environment may be active in the caller's shell; a start without bytecode takes 1.2 s, and with it 0.5.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

STATIC := otel_replay/web/static
UV_INSTALL = uv pip install --quiet --python .venv/bin/python --constraint requirements.lock

.PHONY: help
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# --- use -------------------------------------------------------------------------------------------------------------

.PHONY: run
run: .venv/stamp-run page ## start the receiver and its page on replay.db, with a sample session inside
	@exec otel-replay serve --demo --db replay.db

.PHONY: page
page: $(STATIC)/index.html ## build the web page and the script-tag recorder, where their sources changed

# --- check -----------------------------------------------------------------------------------------------------------

.PHONY: test
test: lint types page .build/peers/rotel/stamp ## everything a change has to pass; closes with pytest's summary line
	@.ci/chromium && .ci/nghttp2 && .ci/dialects && .ci/collector
	@.ci/tests

.PHONY: test-fast
test-fast: .venv/stamp-test page ## the quick tests only (under a minute)
	@OTEL_REPLAY_TEST_PROFILE=fast pytest -m "not slow and not browser" -n 2

.PHONY: soak
soak: .venv/stamp-test page .build/peers/rotel/stamp ## the same tests with the long counts; figures go to docs/results/
	@.ci/chromium && .ci/nghttp2 && .ci/dialects && .ci/collector
	@.ci/soak

.PHONY: bench
bench: .venv/stamp-run ## what is stored a second, against ceilings and peers (half an hour); BENCH="--help" for parts
	@.ci/nghttp2
	@python -m tests.bench.suite --work-dir .build/bench $(BENCH)

.PHONY: bench-growth
bench-growth: .venv/stamp-run ## the same while one file grows to 30 million spans (half an hour, 10 GB of disk)
	@.ci/nghttp2
	@python -m tests.bench.suite --work-dir .build/bench $(BENCH) growth questions
	@python -m tests.bench.plot "$$(ls -t docs/results/growth*.json | head -n 1)" docs/benchmarks/growth.svg

.PHONY: bench-peers
bench-peers: .build/peers/phoenix/stamp .build/peers/mlflow/stamp .build/peers/rotel/stamp ## install what make bench compares with (2 GB)

.PHONY: dialects
dialects: .venv/stamp-test ## install the LLM libraries whose telemetry the tests receive (550 MB)
	@.ci/dialects

.PHONY: collector
collector: .build/peers/rotel/stamp ## build the OpenTelemetry Collector of collector_config (needs Go), install rotel
	@.ci/collector

.PHONY: lint
lint: .venv/stamp-test ## style, formatting, and which package may import which
	@ruff check
	@ruff format --check --quiet
	@mkdir -p .build
	@lint-imports --no-logo --cache-dir .build/import-linter >.build/lint-imports.log || { cat .build/lint-imports.log; exit 1; }

.PHONY: types
types: .venv/stamp-test ## mypy, strict
	@mypy

# --- change ----------------------------------------------------------------------------------------------------------

.PHONY: format
format: .venv/stamp-test ## let ruff put the code in order
	@ruff check --fix --quiet
	@ruff format

PROTO_OUT ?= .
.PHONY: proto
proto: .build/protoc/stamp ## generate otel_replay/_pb from proto/
	@.build/protoc/bin/python -m grpc_tools.protoc -Iotel_replay/_pb=proto/otel_replay \
		--python_out=$(PROTO_OUT) --pyi_out=$(PROTO_OUT) --grpc_python_out=$(PROTO_OUT) \
		otel_replay/_pb/v1/replay.proto

.PHONY: lock
lock: .venv/stamp ## resolve requirements.lock again, to the newest versions that pyproject.toml allows
	@uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --group tools --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --output-file requirements.lock pyproject.toml

.PHONY: clean
clean: ## remove what the other verbs made, databases excepted
	@rm -rf .venv .build dist $(STATIC) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find otel_replay tests -name __pycache__ -o -name node_modules -prune | xargs rm -rf

# --- what the verbs need ---------------------------------------------------------------------------------------------

.venv/stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "otel-replay needs Python 3.11 or newer, and $(PYTHON) is not: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv
	@mkdir -p .build
	@sed -n '/^uv==/,/^    #/p' requirements.lock >.build/uv.txt
	@python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .build/uv.txt
	@touch $@

.venv/stamp-run .venv/stamp-test: requirements.lock pyproject.toml | .venv/stamp
.venv/stamp-run: EXTRA = demo
.venv/stamp-test: EXTRA = test
# The lock's hashes hold for the constraints too, so each set of extras is a checked part of it.
.venv/stamp-run .venv/stamp-test:
	@echo "Installing otel-replay[$(EXTRA)] into .venv"
	@$(UV_INSTALL) --requirement pyproject.toml --extra $(EXTRA)
	@$(UV_INSTALL) --build-constraint requirements.lock --no-deps --editable .
	@touch $@

# Both parts write into the folder that the receiver serves; neither empties it of the other's files.
WEB := otel_replay/web/page otel_replay/browser
$(STATIC)/index.html: $(shell find $(WEB) -name node_modules -prune -o -type f -print 2>/dev/null) | .venv/stamp
	@mkdir -p .build
	@for part in $(WEB); do \
		echo "Building $$part"; \
		log=$(CURDIR)/.build/npm.log; \
		(cd $$part && $(CURDIR)/.ci/npm ci && $(CURDIR)/.ci/npm run build) >$$log 2>&1 || { cat $$log; exit 1; }; \
	done
	@touch $@

# Each in an environment of its own, in the versions that the documentation's table names.
PEER_phoenix := arize-phoenix==20.26.1
PEER_mlflow := mlflow==3.17.2
PEER_rotel := rotel==0.0.1a15
.build/peers/%/stamp: | .venv/stamp
	@echo "Installing $(PEER_$*) into .build/peers/$*"
	@uv venv --quiet --clear --python '>=3.11,<3.14' .build/peers/$*
	@uv pip install --quiet --python .build/peers/$*/bin/python '$(PEER_$*)'
	@touch $@

# The generator is old on purpose: code generated by 1.85 does not import under protobuf 6, which opentelemetry-proto
# still allows; code generated by 1.63 imports under 6 and 7. It needs pkg_resources, and has wheels up to Python 3.12.
.build/protoc/stamp: | .venv/stamp
	@uv venv --quiet --clear --python '>=3.11,<3.13' .build/protoc
	@uv pip install --quiet --python .build/protoc/bin/python 'grpcio-tools==1.63.2' 'setuptools<80'
	@touch $@
