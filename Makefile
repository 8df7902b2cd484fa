# Kafka data integrity. `make help` lists what there is. Nothing is needed but make and Python 3.11 or newer.

VENV   := .venv
BIN    := $(VENV)/bin
# Always as modules, never by the scripts in there: those have the path in them that the checkout had at first.

# The options of a run; each is also a -D option of behave (see README.md). Not `?=`: they count on the command line only,
# since the environment may have them for somebody else, such as the IMAGE that a CI job builds.
OTHERS := $(foreach name,BROKER IMAGE KAFKA CLIENT ARGS,$(if $(filter environment,$(origin $(name))),$(name)))
BROKER :=
IMAGE  :=
KAFKA  :=
CLIENT :=
ARGS   :=
# Those that were in the environment and have come from here instead: not with `make -e`, which asks for the environment's.
IGNORED = $(strip $(foreach name,$(OTHERS),$(if $(filter file,$(origin $(name))),$(name))))
# The benchmark of `make spark`: 0 leaves it out.
MESSAGES := 10000000
OPTIONS = $(if $(BROKER),-D broker=$(BROKER)) $(if $(IMAGE),-D image=$(IMAGE)) \
          $(if $(KAFKA),-D kafka=$(KAFKA)) $(if $(CLIENT),-D client=$(CLIENT))

# The first Python that is new enough; PYTHON=/path/to/python chooses another one.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help verify test prove bench spark lint image clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make verify BROKER=docker IMAGE=confluentinc/cp-kafka:latest CLIENT=confluent-kafka ARGS='features/delivery'"

verify: $(VENV)/.installed ## check every promise on a real broker; ARGS='...' is passed to behave
	@[ -z "$(IGNORED)" ] || echo "taken from make's command line only, ignored: $(IGNORED)" >&2
	@$(BIN)/python -m behave $(OPTIONS) $(ARGS)

# Half of the tests' time is waiting: three processes keep two processors busy.
test: $(VENV)/.installed-dev ## the suite's own tests; ARGS='...' is passed to pytest
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(ARGS)

spark: $(VENV)/.installed-spark ## the checks on Spark: tests, and 10 M messages unless MESSAGES=0 (pyspark; the system's Java 17)
	@$(BIN)/python -m pytest --spark $(ARGS)
	@[ "$(MESSAGES)" = 0 ] || $(BIN)/python -m benchmarks.checker --engine spark --messages $(MESSAGES)

prove: $(VENV)/.installed ## sabotage an embedded broker in every way of a table: each must be seen, nothing else; reports/prove.html
	@[ -z "$(filter-out auto embedded,$(BROKER))$(IMAGE)$(KAFKA)" ] || { echo "make prove takes no BROKER, IMAGE or KAFKA: it sabotages an embedded broker of the default version" >&2; exit 2; }
	@$(BIN)/python -m integrity.prove $(if $(CLIENT),--client $(CLIENT)) $(ARGS)

lint: $(VENV)/.installed-dev ## ruff over everything
	@$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check .

bench: $(VENV)/.installed-dev ## the side-by-side figures, as ratios; reports/bench.json
	@$(BIN)/python -m benchmarks $(ARGS)

image: $(VENV)/.installed ## build the offline Docker image kafka-integrity/kafka:<version> (KAFKA=4.3.1)
	@$(BIN)/python -m images.build $(if $(KAFKA),--kafka $(KAFKA)) $(ARGS)

clean: ## remove what the runs made here: .venv, reports, caches of tools
	rm -rf $(VENV) reports .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Not there either when it is a link to a Python that has gone, or to a newer one by the same name, which looks for
# packages in another folder, even for pip: what was installed for the old one is installed again.
REMADE := $(if $(shell $(BIN)/python -c 'import pip' 2>/dev/null && echo there),,remade)
.PHONY: remade
$(VENV)/bin/python: $(REMADE)
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed and none was found; install it, or name it: make PYTHON=/path/to/python3" >&2; exit 2; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $(PYTHON) is older" >&2; exit 2; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@rm -f $(BIN)/python* $(VENV)/.installed*
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }

$(VENV)/.installed: requirements.txt $(REMADE) | $(VENV)/bin/python
	@echo "Installing requirements.txt (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements.txt $(REMADE) | $(VENV)/bin/python
	@echo "Installing requirements-dev.txt (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $(VENV)/.installed $@

$(VENV)/.installed-spark: requirements-spark.txt $(VENV)/.installed-dev
	@echo "Installing requirements-spark.txt (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-spark.txt
	@touch $@
