# One file of commands. `make` lists them. A fresh machine needs Python 3.11 to 3.13 and make, nothing else.
#
# Set-up writes to stderr only, so that `make -s demo ARGS="--headless --json"` prints JSON and nothing else on stdout.
# Stamps in .venv make the second run start at once; a changed lock or pyproject.toml installs again.

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# Lazy on purpose: only making the environment asks for it.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
ARGS ?=
SEEDS ?= 500
PYTEST := $(PY) -m pytest
CLIENTS := ibapi-9.81 ib_async-2.1 ibapi-10.46
CLIENTS_VENV := .venv-clients
PEERS := backtesting vectorbt bt nautilus
PEERS_VENV ?= .venv-peers
PYTHON312 ?= $(shell for p in python3.12 $$HOME/.pyenv/versions/3.12*/bin/python; do \
  $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 12))' 2>/dev/null && echo $$p && break; done)
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SILENT:
.PHONY: lifecycle experiments help install gate-soak demo test check fmt bench calibration results strategy-check clients clients-env scenarios mutants mutate reliability load lake journal-bench journal-load latency kills drills chaos crashes differential peers-env peers-sample docs browser wheel-test assets lock clean

help: ## list these commands
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-15s%s\n", $$1, $$2 }'

install: $(VENV)/.dev assets ## set up everything for development in .venv

demo: $(VENV)/.base assets ## run the demo: simulated broker, trader, dashboard (ARGS="--headless --json")
	exec $(BIN)/robotrader demo $(ARGS)

test: install clients-env check ## check, then run every test except the browser's (ARGS="-k ledger")
	$(PYTEST) -n 2 --dist worksteal --ignore=tests/browser $(ARGS)

check: $(VENV)/.dev ## lint, formatting, types, import contracts, sizes
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PY) -m tests.architecture.sizes

fmt: $(VENV)/.dev ## format the code and repair what lint can repair
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: install ## both engines against their targets, beside other engines where `make peers-env` made them (ARGS=--write)
	$(PY) -m tests.benchmarks.run $(ARGS)

clients: install clients-env ## judge the gateway simulator by three foreign clients at three server versions
	$(PY) -m tests.clients.run $(ARGS)

clients-env: $(CLIENTS:%=$(CLIENTS_VENV)/%/.done) ## set up the foreign clients, each in an environment of its own

differential: install peers-env ## our engines against backtesting.py, vectorbt, bt and nautilus_trader (ARGS=--write)
	$(PY) -m tests.differential.engines.run $(ARGS)

peers-env: $(PEERS:%=$(PEERS_VENV)/%/.done) ## set up those four engines, each in an environment of its own (Python 3.12)

peers-sample: $(PEERS_VENV)/backtesting/.done ## set up the one that `make test` asks

calibration: install ## try every promise of the statistics on 1,000 seeds (ARGS=--write)
	$(PY) -m tests.calibration.run $(ARGS)

results: install ## run every library strategy on public data and judge it (ARGS=--write)
	$(PY) -m tests.benchmarks.results $(ARGS)

strategy-check: install ## hold broken and clean strategies to the rules against self-deception (ARGS=--write)
	$(PY) -m tests.strategies.run $(ARGS)

scenarios: install ## play every incident of scenarios/ on virtual time, and under its planted bug (ARGS="S14 S27")
	$(PY) -m tests.scenarios.suite $(ARGS)

mutants: install ## plant each bug that the order path must not survive, and show what kills it (ARGS="float")
	$(PY) -m tests.mutants $(ARGS)

experiments: install ## try every promise of live A/B tests on 1,000 seeds (ARGS=--write)
	$(PY) -m tests.calibration.experiments $(ARGS)

gate-soak: install ## 100,000 steps of intents, fills, prices and limit changes: no order sent may break a limit
	GATE_STEPS=100000 $(PYTEST) tests/property/test_sent_orders.py -k Trading --timeout 1800 $(ARGS)

mutate: install ## let mutmut change risk, ledger and order states bit by bit; 90 % must be noticed (ARGS="--workers 1")
	$(PY) -m tests.mutation $(ARGS)

lifecycle: install ## submit five strategies to the lifecycle over the gateway simulator, with the gates' defaults
	$(PY) -m tests.lifecycle $(ARGS)

reliability: install ## play every fault in every state of the link and write docs/reliability.md (ARGS="--check 10")
	$(PY) -m tests.scenarios.table $(ARGS)

load: install ## load the gateway simulator with quotes and orders (ARGS="--minutes 5")
	$(PY) -m tests.benchmarks.gateway_load $(ARGS)

latency: install ## time from a bar to its order on the wire, against a bare ib_async script (ARGS=--write)
	$(PY) -m tests.benchmarks.latency $(ARGS)

kills: install ## kill -9 the demo's trader at random moments, 20 times (ARGS="--runs 20 --kills 5 --days 1200")
	$(PY) -m tests.chaos.kills $(ARGS)

lake: install ## the lake against Polars alone: import, and one symbol-year read (ARGS=--write)
	$(PY) -m tests.benchmarks.lake $(ARGS)

journal-bench: install ## time the journal against bare sqlite3, and its memory (ARGS=--write)
	$(PY) -m tests.benchmarks.journal $(ARGS)

journal-load: install ## 8 readers and a killed writer on one journal for a minute (ARGS="--seconds 60")
	$(PY) -m tests.chaos.journal_load $(ARGS)

drills: install ## two traders at once, a frozen one, a locked journal, a full disk: on real processes (wants root)
	$(PYTEST) -rs tests/integration/system/test_two_traders.py tests/integration/system/test_journal_fails.py $(ARGS)

chaos: install ## play SEEDS drawn runs with faults and crashes on virtual time, and judge each (ARGS="--first 501")
	$(PY) -m tests.chaos.simulate --seeds $(SEEDS) $(ARGS)

crashes: install ## let the trader die at every commit and socket write of the canonical flows (ARGS="--sample 50")
	$(PY) -m tests.chaos.crashes $(ARGS)

docs: $(VENV)/.dev ## check the documentation: commands, links, glossary
	$(PYTEST) -q tests/architecture/test_docs.py

browser: install ## drive the dashboard in Chromium (needs Chromium)
	$(PYTEST) tests/browser $(ARGS)

wheel-test: install ## build the wheel and use it in a clean environment without network
	$(PYTEST) tests/wheel $(ARGS)

assets: $(VENV)/.build ## fetch the dashboard's third-party files
	$(PY) scripts/build_assets.py

lock: $(VENV)/.dev ## renew the hash-pinned locks after a change (ARGS=--upgrade takes newer releases)
	$(COMPILE) $(ARGS) --extra dev -o requirements/dev.txt pyproject.toml 1>&2
	$(COMPILE) $(ARGS) -o requirements/base.txt pyproject.toml 1>&2
	$(COMPILE) $(ARGS) -o requirements/build.txt requirements/build.in 1>&2
	$(COMPILE) $(ARGS) -o requirements/node.txt requirements/node.in 1>&2
	for set in build $(CLIENTS); do \
	  $(COMPILE) $(ARGS) -o requirements/clients-$$set.txt requirements/clients-$$set.in 1>&2 || exit 1; done
	for set in $(PEERS); do \
	  $(subst 3.11,3.12,$(COMPILE)) $(ARGS) -o requirements/peers-$$set.txt requirements/peers-$$set.in 1>&2 || exit 1; done

clean: ## remove everything that was built or cached, .venv included
	rm -rf $(VENV) $(CLIENTS_VENV) $(PEERS_VENV) dist build src/robotrader/web/static/vendor
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests scripts -name __pycache__ -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------------------- set-up
# uv installs in seconds what takes pip a minute; where uv cannot run, pip does the same from the same hashes.
define locked
echo "robotrader: installing $(1)" >&2
$(BIN)/uv pip install --quiet --python $(2) --require-hashes $(3) -r $(1) 1>&2 \
  || $(2) -m pip install --quiet --disable-pip-version-check --require-hashes $(3) -r $(1) 1>&2
endef

define sync
$(call locked,$(1),$(PY))
$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e . 1>&2
endef

$(VENV)/.build: requirements/build.txt
	test -n "$(PYTHON)" || { echo "robotrader: needs Python 3.11, 3.12 or 3.13 as python3; none was found" >&2; exit 1; }
	echo "robotrader: making $(VENV) with $(PYTHON)" >&2
	$(PYTHON) -m venv $(VENV) 1>&2
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $< 1>&2
	touch $@

$(VENV)/.base: $(VENV)/.build requirements/base.txt pyproject.toml
	$(call sync,requirements/base.txt)
	touch $@

$(VENV)/.dev: $(VENV)/.build requirements/dev.txt pyproject.toml
	$(call sync,requirements/dev.txt)
	touch $(VENV)/.base $@ # the development set contains the default one

$(PEERS_VENV)/%/.done: requirements/peers-%.txt $(VENV)/.build
	test -n "$(PYTHON312)" || { echo "robotrader: the other engines need Python 3.12 as python3.12" >&2; exit 1; }
	rm -rf $(@D)
	$(PYTHON312) -m venv $(@D) 1>&2
	$(call locked,$<,$(@D)/bin/python)
	touch $@

$(CLIENTS_VENV)/%/.done: requirements/clients-%.txt requirements/clients-build.txt $(VENV)/.build
	rm -rf $(@D)
	$(PY) -m venv $(@D) 1>&2
	$(call locked,requirements/clients-build.txt,$(@D)/bin/python)
	$(call locked,$<,$(@D)/bin/python,--no-build-isolation)
	touch $@
