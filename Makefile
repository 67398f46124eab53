# Works with GNU Make 3.81 (macOS). Every target sets up what it needs; a second run is quick.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
export PYTHONPATH := $(CURDIR)

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-18s %s\n", $$1, $$2}'

# ---- set-up ---------------------------------------------------------------------------------------------------
$(VENV)/.installed: pyproject.toml build/dev.lock
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is missing: apt-get install python3 python3-venv python3-dev, or brew install python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) -V), 3.11 or later is needed: make PYTHON=python3.13 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || { echo "Python's headers are missing: apt-get install python3-dev"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@command -v $${CC:-cc} gcc clang >/dev/null || echo "no C compiler was found: the scoring extension is built with ziglang from PyPI"
	SCORING_EXTENSION=require $(PY) build/install.py
	@touch $@

# The installation builds the extension too; this is for sources that changed since.
EXTENSION := scoring/_compiled.abi3.so
$(EXTENSION): setup.py scoring/_compiled.pyx $(wildcard scoring/c/*.c scoring/c/*.h) | $(VENV)/.installed
	SCORING_EXTENSION=require $(PY) setup.py --quiet build_clib build_ext --inplace
	@touch $@

.PHONY: setup
setup: $(VENV)/.installed $(EXTENSION)

# ---- quality --------------------------------------------------------------------------------------------------
.PHONY: lint
lint: setup  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

# A module is one process's: what its tests share is made once. Twice as many processes as cores, as many tests wait.
WORKERS ?= 4
PYTEST := $(PY) -m pytest --numprocesses=$(WORKERS) --dist=loadscope --no-loadscope-reorder
.PHONY: test
test: setup  ## the README's test; WORKERS=4 processes
	$(PYTEST)

.PHONY: check
check: lint  ## lint, types and unit tests: before a commit
	$(PYTEST) tests/unit

.PHONY: coverage
coverage: setup  ## which branches of the domain and the batch contract the unit tests take
	$(PY) build/branch_coverage.py

# ---- the extension under sanitizers ---------------------------------------------------------------------------
# Built and tested in a copy, so that the working tree keeps its quick extension. Python itself leaks by design.
SANITIZED := .build/sanitized
SANITIZED_TESTS := tests/unit/scoring/test_sha256.py tests/unit/scoring/test_kernel_selection.py \
  tests/unit/scoring/test_screening.py tests/unit/scoring/test_screening_view.py tests/unit/scoring/test_rule_table.py \
  tests/unit/scoring/test_card_numbers.py tests/property/test_sha256_parity.py tests/property/test_screening_parity.py \
  tests/property/test_card_parity.py tests/property/test_damaged_tables.py
.PHONY: sanitized
sanitized: setup
	@test -e "$$(gcc -print-file-name=libasan.so)" || { echo "gcc with libasan is missing: apt-get install gcc, on Linux"; exit 1; }
	@mkdir -p $(SANITIZED)
	@rm -rf $(addprefix $(SANITIZED)/,scoring tests build handler operations docs)
	@tar -cf - --exclude=__pycache__ setup.py pyproject.toml README.md LICENSE scoring tests build handler operations docs | tar -xf - -C $(SANITIZED)
	@rm -f $(SANITIZED)/scoring/*.so
	cd $(SANITIZED) && CC=gcc SCORING_SANITIZE=1 SCORING_EXTENSION=require $(CURDIR)/$(PY) setup.py --quiet build_clib build_ext --inplace
	@grep -q __asan_report $(SANITIZED)/scoring/_compiled.abi3.so || { echo "the extension was built without its sanitizers"; exit 1; }

.PHONY: test-sanitize
test-sanitize: sanitized  ## scoring's tests with address and undefined-behaviour sanitizers in the C code (gcc on Linux)
	cd $(SANITIZED) && PYTHONPATH=. PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" $(CURDIR)/$(PY) -m pytest -q --capture=sys -p no:cacheprovider $(SANITIZED_TESTS)

# ---- fuzzing --------------------------------------------------------------------------------------------------
TARGETS ?=
HOURS ?=
INPUT ?=
FUZZ = $(PY) -m tests.fuzz --sanitized $(SANITIZED) $(if $(SEED),--seed $(SEED)) $(if $(INPUT),--input $(INPUT)) $(TARGETS)
.PHONY: fuzz
fuzz: sanitized  ## inputs of every kind against oracles, 20 s a target (HOURS=1, TARGETS="cards page", INPUT=file, ARGS=--keep)
	$(FUZZ) $(if $(HOURS),--hours $(HOURS)) $(ARGS)

# One copy with sanitizers for both: the other steps of CI run beside this one. Each target's first inputs, as a search
# that ends at another one on each machine would not be the same test twice.
.PHONY: sanitize-and-fuzz
sanitize-and-fuzz: test-sanitize
	$(FUZZ) --seconds 8

.PHONY: check-aws-requests
check-aws-requests: setup  ## 10,000 random requests of the lean AWS clients, each equal to botocore's (OPTIONS="--seed 2")
	$(PY) -m benchmarks aws-requests $(OPTIONS)

.PHONY: check-card-ids
check-card-ids: setup  ## a million each of UUIDs, hex ids, ULIDs: no card number; the slowest texts (OPTIONS="--ids 10000 --seed 2")
	$(PY) -m benchmarks card-ids $(OPTIONS)

# The peers stand in an environment of their own, without what their packages import beside the recognizers.
CARD_PEERS := .build/card-peers
$(CARD_PEERS)/.installed: benchmarks/card_numbers/peers.lock | $(VENV)/.installed
	$(PY) -m venv $(CARD_PEERS)
	$(CARD_PEERS)/bin/python -m pip install --quiet --no-deps --require-hashes --requirement $<
	@touch $@

.PHONY: check-card-numbers
check-card-numbers: setup $(CARD_PEERS)/.installed  ## card numbers found and taken wrongly, beside two peers (OPTIONS="--ids 1000 --record")
	$(PY) -m benchmarks card-numbers $(OPTIONS)

# ---- rules ----------------------------------------------------------------------------------------------------
.PHONY: rules
rules: setup  ## compile rule texts: the built-in ones, or RULES="a.rules b.rules" TABLE=my.table
	$(PY) build/rules.py $(if $(TABLE),--output $(TABLE)) $(RULES)

# ---- pages ----------------------------------------------------------------------------------------------------
.PHONY: pages
pages: setup  ## write the pages of docs/ that are made from the code
	$(PY) build/pages.py

# ---- the local system -----------------------------------------------------------------------------------------
.PHONY: run
run: setup  ## payments through the whole system, with faults, and an audit (ARGS="--payments 40"; PROVISION=terraform)
	$(PY) -m local run --payments 200 --groups 20 --concurrency 4 --seed 1 $(if $(PROVISION),--provision $(PROVISION)) $(ARGS)

.PHONY: planted-bugs
planted-bugs: setup  ## plant bugs in copies of the tree and see the run's audit catch each
	$(PY) -m pytest tests/planted

.PHONY: up
up: setup  ## keep the system running on 127.0.0.1:4566 for the AWS CLI (PORT=..., ARGS="--concurrency 10", Ctrl-C stops it)
	@$(PY) -m local up $(if $(PORT),--port $(PORT)) $(if $(PROVISION),--provision $(PROVISION)) $(ARGS)

.PHONY: test-published
test-published: setup  ## every published command on what `make up` starts, with AWS CLI 1 and 2
	$(PY) -m pytest tests/published

.PHONY: test-commands
test-commands: setup  ## every command of `payments` on what `make up` starts
	$(PY) -m pytest tests/integration/check_commands.py tests/integration/check_export.py \
	  tests/integration/check_conservation.py

.PHONY: benchmark-local
benchmark-local: setup  ## the local system's own cost: warm invocation, idle CPU, memory, start
	$(PY) -m benchmarks.local_system

# TARGET=aws sends it to what `make apply` deployed.
TARGET ?= live
.PHONY: avalanche
avalanche: setup  ## the published cold-start avalanche, audited (ARGS="--groups 10,1000 --ramp-seconds 300"; TARGET=aws ENVIRONMENT=dev)
	$(PY) -m benchmarks avalanche-$(TARGET) $(if $(filter aws,$(TARGET)),--environment $(ENVIRONMENT) $(if $(STATE),--state $(STATE))) $(ARGS)

# ---- package --------------------------------------------------------------------------------------------------
# The compilers and checkers are some 500 MB that only packaging needs: an environment of their own.
TOOLS := .build/tools
$(TOOLS)/.installed: build/tools.lock | $(VENV)/.installed
	$(PY) -m venv $(TOOLS)
	$(PY) build/install.py --into $(TOOLS) --lock build/tools.lock
	@touch $@

BUILDER ?= auto
WHEELS := dist/.wheels
# With folders, so that a removed file counts as a change, too. It costs a list of names in every call of make.
WHEEL_SOURCES := $(shell find LICENSE README.md handler operations scoring -name __pycache__ -prune -o ! -name '*.so' ! -name '_compiled.c' -print)
$(WHEELS): build/wheel.py build/packager/elf.py setup.py pyproject.toml $(WHEEL_SOURCES) $(TOOLS)/.installed
	rm -f dist/*.whl dist/*.tar.gz
	$(TOOLS)/bin/python build/wheel.py --builder $(BUILDER)
	@touch $@

.PHONY: wheel
wheel: $(WHEELS)  ## wheels for arm64 and x86_64 and an sdist; BUILDER=container|zig
	@ls dist/*.whl dist/*.tar.gz

.PHONY: test-wheel
test-wheel: setup $(WHEELS)  ## wheels: same bytes from another folder, every Python here, native build
	$(PY) -m pytest tests/artefacts/check_wheels.py

# All that Terraform takes; a ZIP is for one. What is made for all of them ends with RUNTIME, whose ZIPs dist/ then holds.
RUNTIMES := python3.11 python3.12 python3.13
RUNTIME ?= python3.13
SUPPORT ?= lean
PACKAGED := $(filter-out $(RUNTIME),$(RUNTIMES)) $(RUNTIME)
.PHONY: package
package: setup $(WHEELS)  ## dist/*.zip for Lambda; RUNTIME=python3.11, SUPPORT=standard, DIRTY=1 before a commit
	$(PY) build/package.py lambda --runtime $(RUNTIME) --support $(SUPPORT) $(if $(DIRTY),--allow-dirty)

.PHONY: test-package
test-package: setup $(WHEELS)  ## ZIPs for every runtime, each within its recorded sizes
	@for runtime in $(PACKAGED); do \
	  echo "for $$runtime"; $(PY) build/package.py lambda --runtime $$runtime $(if $(DIRTY),--allow-dirty) || exit 1; \
	done

.PHONY: release-check
release-check: setup  ## whether version, changelog and commit are what TAG=v0.3.0 says
	$(PY) build/release.py $(TAG)

# What a fork's CI reads: their schemas, and what zizmor knows of actions that are not pinned, or that may do too much.
.PHONY: test-workflows
test-workflows: $(TOOLS)/.installed  ## the files in .github, by their schemas and by zizmor
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(TOOLS)/bin/zizmor --offline --no-progress .github

.PHONY: test-arm64
test-arm64: package  ## run the arm64 ZIP under an emulator: scoring suite and whole invocations
	$(PY) build/arm64.py

# For a function of `make up`: AWS_ENDPOINT_URL and the other exports that it prints.
ENVIRONMENT ?= dev
ARCHITECTURE ?= arm64
ENGINE ?= compiled
FUNCTION ?= queue
# A canary's shares in per cent and the seconds that each is watched; SHARES= is none.
CANARY = $(if $(filter undefined,$(origin SHARES)),,--shares "$(SHARES)") $(if $(HOLD),--hold $(HOLD))
.PHONY: deploy-code
deploy-code: package  ## new code behind alias live; ENVIRONMENT=dev ARCHITECTURE=arm64 FUNCTION=workflow SHARES=10,50 HOLD=240 WATCH=yes
	$(DEPLOY) --function $(FUNCTION) $(CANARY) $(if $(WATCH),--watch) \
	  --zip dist/payment-$(if $(filter queue,$(FUNCTION)),processor,workflow)-$(ARCHITECTURE)-$(ENGINE).zip

.PHONY: move
move: setup  ## give alias live to VERSION=8 of FUNCTION=queue, in SHARES=10,50 of HOLD=240 seconds
	$(DEPLOY) --function $(FUNCTION) $(CANARY) $(if $(VERSION),--version $(VERSION))

.PHONY: record-sizes
record-sizes: setup $(WHEELS)
	@rm -f build/sizes.json
	@for runtime in $(PACKAGED); do for support in standard lean; do \
	  $(PY) build/package.py lambda --runtime $$runtime --support $$support --record-size --allow-dirty || exit 1; \
	done; done

.PHONY: lock
lock: setup  ## resolve the dependencies anew and write build/*.lock; LOCKS=dev writes one
	$(PY) build/lock.py $(LOCKS)

# ---- simulation -----------------------------------------------------------------------------------------------
SEED ?=
SEEDS ?=
STEPS ?=
.PHONY: test-simulation
test-simulation: setup  ## 2,000 seeds of the payment protocol; SEED=n tells one, SEEDS= how many, STEPS= their limit
	$(PY) -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(STEPS),--steps $(STEPS))

.PHONY: test-mutations
test-mutations: setup  ## deliberate faults in the handler, each of which the simulation must notice
	$(PY) -m tests.simulation.mutations

.PHONY: test-simulation-versions
test-simulation-versions: setup  ## the same seeds give the same histories on every Python found here
	$(PY) -m tests.simulation.versions

PAYMENTS ?= 1000000
JOBS ?= 2
.PHONY: record-simulation
record-simulation: setup  ## the long run, kept in tests/simulation/record.json; PAYMENTS=1000000 JOBS=2 RESUME=yes
	nice -n 19 $(PY) -m tests.simulation --record $(PAYMENTS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)) $(if $(RESUME),--resume)

.PHONY: simulation-histories
simulation-histories: setup  ## commit other history hashes after a deliberate change of handler or models
	$(PY) -m tests.simulation --histories >tests/simulation/histories.json

# ---- terraform ------------------------------------------------------------------------------------------------
# One state per environment: the workspace has the environment's name, and Terraform refuses any other. Where it is says
# build/state.py: here for dev, in a bucket for the others, but where STATE=local says that it may be lost.
# A folder with unpacked providers, for machines that cannot reach the public registry.
TF_INIT_FLAGS := -input=false $(if $(TF_PLUGIN_MIRROR),-plugin-dir=$(TF_PLUGIN_MIRROR) -lockfile=readonly)
# Terraform's own data belong beside each state.
unexport TF_DATA_DIR
STATED = $(PY) build/state.py --environment $(ENVIRONMENT) $(if $(STATE),--state $(STATE)) --init '$(TF_INIT_FLAGS)'
TERRAFORM = root=$$($(STATED)) && TF_WORKSPACE=$(ENVIRONMENT) terraform -chdir="$$root"
TF_VARIABLES = $(if $(wildcard terraform/environments/$(ENVIRONMENT).tfvars),-var-file=environments/$(ENVIRONMENT).tfvars) \
  -var environment=$(ENVIRONMENT) $(if $(MEMORY_SIZE),-var memory_size=$(MEMORY_SIZE)) $(TF_ARGS)

.PHONY: terraform-installed
terraform-installed:
	@command -v terraform >/dev/null || { echo "Terraform 1.11 or later is missing: https://developer.hashicorp.com/terraform/install"; exit 1; }

.PHONY: bootstrap migrate-state
bootstrap: setup  ## the bucket that keeps the state of ENVIRONMENT=prod: once an environment, but dev
	@$(STATED) --bootstrap

migrate-state: setup terraform-installed  ## a local state of ENVIRONMENT=prod to its bucket
	@$(STATED) --migrate

.PHONY: init
init: setup terraform-installed  ## terraform init, and the workspace of ENVIRONMENT=dev
	@root=$$($(STATED) --again) && TF_WORKSPACE= terraform -chdir="$$root" workspace select -or-create $(ENVIRONMENT)

# What the environment's things are called, by the outputs of its state; without one, as the local system calls them.
# OUTPUTS='terraform -chdir=... output -json' asks a state that is kept elsewhere.
OUTPUTS = $(STATED) --outputs
NAMED = --environment $(ENVIRONMENT) --outputs "$$outputs"

# Terraform publishes, build/deploy.py moves alias live: in a plan it stays where it is, but where TF_ARGS say so.
DEPLOY = outputs=$$($(OUTPUTS)) && $(PY) build/deploy.py $(NAMED)
MOVED_BY_HAND = $(findstring live_version,$(TF_ARGS))
.PHONY: plan apply destroy terraform
plan: setup terraform-installed  ## what apply would change; ENVIRONMENT=dev MEMORY_SIZE=512 TF_ARGS='-var ...'
	@$(PY) terraform/region.py
	held=$$($(DEPLOY) --held) && $(TERRAFORM) plan $$held $(TF_VARIABLES)

apply: setup terraform-installed  ## provision ENVIRONMENT=dev with MEMORY_SIZE=512, then move live (SHARES=10,50 HOLD=240)
	@$(PY) terraform/region.py
	held=$$($(DEPLOY) --proven) && $(TERRAFORM) apply $$held $(TF_VARIABLES)
	$(if $(MOVED_BY_HAND),,$(DEPLOY) --published $(CANARY))

destroy: setup terraform-installed  ## remove ENVIRONMENT=dev; outside dev apply deletion_protection=false first
	$(TERRAFORM) destroy $(TF_VARIABLES)

terraform: setup terraform-installed  ## any other command on the state of ENVIRONMENT=dev: ARGS='output -raw commands'
	@$(TERRAFORM) $(ARGS)

.PHONY: rollback
rollback: setup  ## move alias live of ENVIRONMENT=dev back to the version that proved itself, or VERSION=3; FUNCTION=workflow
	@outputs=$$($(OUTPUTS)) && $(PY) build/rollback.py $(NAMED) --function $(FUNCTION) $(if $(VERSION),--version $(VERSION))

.PHONY: stop start
stop: setup  ## ENVIRONMENT=dev takes no more messages and charges nothing but what is approved; says how much that is
	@outputs=$$($(OUTPUTS)) && $(PY) build/stop.py $(NAMED)

start: setup  ## ENVIRONMENT=dev takes messages again
	@outputs=$$($(OUTPUTS)) && $(PY) build/stop.py $(NAMED) --start

.PHONY: cost
cost: setup  ## what a month costs; MEMORY_SIZE=512 ARGS='--payments 1000000 --duration-ms 40' (ARGS=--help)
	@$(PY) -m benchmarks.cost $(if $(MEMORY_SIZE),--memory-size $(MEMORY_SIZE)) $(ARGS)

.PHONY: test-terraform
test-terraform: setup terraform-installed  ## Terraform checked, tested with mocks, and really applied on this machine
	TF_PLUGIN_MIRROR=$(TF_PLUGIN_MIRROR) $(PY) -m pytest tests/terraform

# A proof takes ZIPs as every apply does; it says what it costs and asks, and removes what it made.
.PHONY: conformance-aws
conformance-aws: package terraform-installed  ## the whole way on an account, and what AWS answered; ENVIRONMENT=sandbox OPTIONS=--yes
	@$(PY) -m tests.conformance --environment $(ENVIRONMENT) --architecture $(ARCHITECTURE) $(OPTIONS)

.PHONY: test-conformance
test-conformance: setup terraform-installed  ## the same way on this machine, whose record says what was not played
	TF_PLUGIN_MIRROR=$(TF_PLUGIN_MIRROR) $(PY) -m pytest tests/conformance/check_loopback.py

# ---- benchmarks -----------------------------------------------------------------------------------------------
$(VENV)/.benchmark: $(VENV)/.installed
	$(PY) -m pip install --quiet --no-build-isolation --editable '.[benchmark]'
	@touch $@

.PHONY: benchmark
benchmark: setup $(VENV)/.benchmark  ## what compiling buys, cold and warm, per memory size (OPTIONS="--quick")
	$(PY) -m benchmarks $(OPTIONS)

.PHONY: benchmark-kernels
benchmark-kernels: setup $(VENV)/.benchmark  ## speed of the kernels against their peers (OPTIONS=--quick)
	$(PY) -m benchmarks kernels $(OPTIONS)

.PHONY: benchmark-screening
benchmark-screening: setup $(VENV)/.benchmark  ## screening against its peers (OPTIONS="--all-peers" | --quick)
	$(PY) -m benchmarks screening $(OPTIONS)

.PHONY: benchmark-compare
benchmark-compare: setup $(VENV)/.benchmark  ## two records: A=before.json B=after.json OPTIONS="--fail-above 10%"
	$(PY) -m benchmarks compare $(A) $(B) $(OPTIONS)

.PHONY: benchmark-gateways
benchmark-gateways: setup  ## init and first payment with Stripe beside the simulated gateway (OPTIONS=--quick)
	$(PY) -m benchmarks gateways $(OPTIONS)

.PHONY: benchmark-aws
benchmark-aws: setup  ## the same columns from benchmark functions on AWS; ENVIRONMENT=dev (OPTIONS="--limit-usd 1")
	outputs=$$($(OUTPUTS)) && $(PY) -m benchmarks aws $(NAMED) $(OPTIONS)

.PHONY: benchmark-packaging
benchmark-packaging: package  ## sizes of the ZIP, seconds of the wheels (OPTIONS=--cold-cache: of test-arm64 too)
	$(PY) -m benchmarks packaging $(OPTIONS)

.PHONY: benchmark-setup
benchmark-setup: setup  ## seconds from a fresh clone to the first process of `make run`, without any cache
	$(PY) -m benchmarks set-up

.PHONY: benchmark-webhook
benchmark-webhook: setup  ## how long the gateway waits for the webhook's answer, with the processor's share of 512 MB
	$(PY) -m benchmarks webhook $(OPTIONS)

.PHONY: benchmark-help
benchmark-help: setup  ## CPU time of `payments --help`
	$(PY) -m benchmarks help

.PHONY: profile-init
profile-init: setup  ## where a cold start goes, by step and by import
	$(PY) -m benchmarks profile-init $(OPTIONS)

.PHONY: profile-payment
profile-payment: setup  ## where the CPU time of a warm payment goes, by step
	$(PY) -m benchmarks profile-payment $(OPTIONS)

# Folders on the peers' own path: they need nothing compiled but the numpy that is here.
AVALANCHE_PEERS := .build/avalanche-peers
$(AVALANCHE_PEERS)/.installed: benchmarks/avalanche/peers.lock | $(VENV)/.installed
	$(PY) -m pip install --quiet --upgrade --target $(AVALANCHE_PEERS) --no-deps --require-hashes --requirement $<
	@touch $@

.PHONY: avalanche-simulation
avalanche-simulation: setup $(if $(findstring --bars,$(OPTIONS)),$(AVALANCHE_PEERS)/.installed)  ## checkouts at once, simulated (OPTIONS="--customers 1000000 --policies" | --bars)
	$(PY) -m benchmarks avalanche-simulation $(OPTIONS)

# ---- documentation --------------------------------------------------------------------------------------------
SITE := .build/site-builder
$(SITE)/.installed: build/site.lock | $(VENV)/.installed
	$(PY) -m venv $(SITE)
	$(PY) build/install.py --into $(SITE) --lock build/site.lock
	@touch $@

.PHONY: site
site: $(SITE)/.installed  ## the documentation as a site, in .build/site/html
	$(SITE)/bin/python build/documentation.py

.PHONY: test-site
test-site: site setup  ## the site: no warning, every link leads somewhere, nothing is fetched from elsewhere, axe-core
	$(PY) -m pytest tests/artefacts/check_site.py tests/browser/check_site_pages.py

# ---- approvals ------------------------------------------------------------------------------------------------
.PHONY: test-approvals
test-approvals: setup  ## the approval workflow through the local system, its page in headless Chromium
	$(PY) -m pytest tests/browser

# ---- under fire -----------------------------------------------------------------------------------------------
.PHONY: test-faults
test-faults: setup  ## the running local system under fire, small: faults from outside, an overload, the largest batches
	$(PY) -m tests.faults campaign --payments 60 --groups 12 --faults 40 --mean-seconds 0.5 --seconds-max 600
	$(PY) -m tests.faults overload --messages 600 --groups 60 --seconds-max 300
	$(PY) -m tests.faults memory

# Each seed is kept as it ends; one of them: .venv/bin/python -m tests.faults campaign --seeds 3 --record
.PHONY: record-faults
record-faults: setup  ## the whole of it, an hour or two, kept in tests/faults/record.json
	$(PY) -m tests.faults memory --record
	$(PY) -m tests.faults curve --record
	$(PY) -m tests.faults overload --record
	$(PY) -m tests.faults campaign --seeds 1,2,3,4,5 --record

.PHONY: restore-drill
restore-drill: setup  ## a lost table restored on this machine, and its messages sent again, without and with RESTORED_AT
	$(PY) -m pytest tests/integration/check_restore_drill.py

# ---- the pages ------------------------------------------------------------------------------------------------
.PHONY: test-documented
test-documented: setup  ## what README.md, docs/packaging.md and docs/tutorial.md tell to type, in fresh clones by CPython 3.11 and 3.13
	$(PY) -m pytest tests/documented/test_fresh_clone.py

.PHONY: test-runbook
test-runbook: setup  ## what docs/runbook.md tells to type, beside a system with the faults that it is about
	$(PY) -m pytest tests/documented/test_runbook.py

# ---- everything -----------------------------------------------------------------------------------------------
# First, one after another, what the others need: `test` sets up, `test-package` makes the tools and the wheels, and
# writes the ZIPs that `test-arm64` writes too. Then two at a time, the long ones in front: a new step is one more word
# there, as long as no other writes the same file.
CI_FIRST := test test-package
CI_STEPS := lint test-documented test-terraform test-mutations test-arm64 planted-bugs test-faults test-conformance \
  test-approvals test-commands test-simulation sanitize-and-fuzz test-published coverage test-wheel \
  test-simulation-versions test-workflows test-site test-runbook restore-drill
.PHONY: ci
ci: setup  ## all that CI runs, two steps at a time, each with its output whole and its seconds
	@$(PY) build/ci.py --make "$(MAKE)" --first $(CI_FIRST) -- $(CI_STEPS)
