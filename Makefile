# Everything runs in .venv, which is made from requirements-dev.txt (pinned, with hashes).
# The two commands to know: make demo, make test.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# The tools of lint, template, audit and lock have an environment of their own.
TOOLS := build/tools/bin
TOOLS_READY := build/tools/ready
# How Python runs pip. A test sets the path of an older pip in place of this.
PIP := -m pip
# The pins are complete, so pip resolves nothing (--no-deps), and it builds nothing, because a build
# would fetch the newest build tools (--only-binary). So no later release of a package breaks a commit.
INSTALL = $(PIP) install --disable-pip-version-check --no-deps --only-binary :all: --require-hashes
# $(call quietly,COMMAND,LOG) shows what a command printed only if it failed: mirrors make pip warn.
quietly = { $(1); } > $(2) 2>&1 || { cat $(2) >&2; exit 1; }
COMPILE := $(TOOLS)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-strip-extras --no-emit-index-url --no-emit-find-links --no-header

.PHONY: demo test check lint template format docs screenshots soak contract bench bench-quick audit package release lock clean
.DEFAULT_GOAL := test

# BREAK=web-2 makes that host fail, to see what a failure looks like: then exit code 1 is what it shows.
demo: $(READY)
	@$(BIN)/pulley demo $(if $(BREAK),--break $(BREAK) || [ $$? -eq 1 ])

# Coverage is measured for the core and the flows, and only in their own tests: tests/conftest.py.
# Four processes on two cores, because many tests wait for hosts. One process compiles the tests
# first, or each would.
test: $(READY)
	@$(BIN)/pytest --collect-only --quiet >/dev/null 2>&1 || true
	$(BIN)/pytest --cov --numprocesses 4 --dist loadgroup

check: lint template test

lint: $(READY) $(TOOLS_READY)
	$(TOOLS)/ruff format --check .
	$(TOOLS)/ruff check .
	$(TOOLS)/mypy
	$(TOOLS)/lint-imports --no-logo
	# In A && B || C the C ends the run, which a failed B should do as well: not SC2015. Functions are
	# given to others by their names: not SC2329.
	$(BIN)/python pulley/host/build.py --commented | $(TOOLS)/shellcheck --exclude SC2015,SC2329 -
	$(TOOLS)/shellcheck .ci/run

# CloudFormation's own linter reads the template of each stage, Chalice's part too: no exceptions.
template: $(TOOLS_READY)
	@$(MAKE) --no-print-directory package STAGE=dev
	@$(MAKE) --no-print-directory package STAGE=prod
	$(TOOLS)/cfn-lint --regions eu-central-1 --template build/dev/sam.json build/prod/sam.json

format: $(TOOLS_READY)
	$(TOOLS)/ruff format .
	$(TOOLS)/ruff check --fix .

# Write the commands of docs/cli.md from their help. A test fails if this was not run after a change.
docs: $(READY)
	$(BIN)/python -m pulley.reference

# Draw the pictures of the page in docs/images: a sandbox deploys, a browser shows it.
screenshots: $(READY)
	$(BIN)/python -m tests.page.screenshots docs/images

# What `make test` tries briefly (in brackets), at length:
# PULLEY_KILLS: up to 3,000 kills of a rebase at random instants, in 1,000 trials of three (brief: 12).
#   500 trials that kill a roll back, a reset or an exact update, after which a person may work in the
#   checkout (brief: 8). A kill before each git call of a rebase, and in the case with edits and local
#   commits also after each (brief: before every third to seventh call). At least 250 kills of a plain
#   git pull (brief: until three have left something). More in tests/host/test_root.py, test_saved.py.
# PULLEY_SHELLS: the tests of the script in each shell (brief: only those that depend on the shell).
# PULLEY_REQUESTS: 100,000 hostile requests (brief: 800).
# PULLEY_FAULTS: each call to AWS and GitHub with each way to fail, and each fault that `pulley doctor`
#   finds alone (brief: some calls, in turns; the faults together).
# PULLEY_INJECTIONS: each hostile string in each place (brief: 20 of these pairs, or 200 for the script).
# PULLEY_DELIVERIES: 3,000 deliveries at 50 a second, to 8 functions (brief: 150, to 4).
# PULLEY_ORDERS: 100 orders of the sandbox's events (brief: 6).
# PULLEY_SEEDS: 60 random orders of the events of the story in tests/flows/test_sync.py (brief: 8).
# PULLEY_SCHEDULES: 1,000 schedules of a fleet with a token, as many without, and as many of targets
#   with gates (brief: 100 each).
# PULLEY_EXAMPLES: 1,000 examples of each property of the core, the flows and the edges, except one
#   that uses the network (brief: 50).
# PULLEY_SIGNALS: each of three signals to `pulley demo` and to `pulley sandbox` (brief: one to each).
soak: $(READY)
	PULLEY_KILLS=1000 PULLEY_SHELLS=all PULLEY_REQUESTS=100000 PULLEY_FAULTS=all \
		PULLEY_INJECTIONS=5000 PULLEY_DELIVERIES=3000 PULLEY_ORDERS=100 PULLEY_SEEDS=60 \
		PULLEY_SCHEDULES=1000 PULLEY_EXAMPLES=1000 PULLEY_SIGNALS=all $(BIN)/pytest --timeout 3600 \
		tests/host tests/core tests/flows tests/edges tests/app/test_hostile.py \
		tests/app/test_faults.py tests/cli/test_cli.py tests/cli/test_doctor.py tests/injection \
		tests/deploy/test_load.py tests/sandbox/test_report.py

# Compare Pulley with what others published: GitHub's OpenAPI description and examples of deliveries,
# botocore's limits, AWS's reference of IAM's actions, CloudFormation. The ordinary tests run first,
# and what they make Pulley ask is recorded.
CONTRACT := build/contract
contract: .venv/contract $(CONTRACT)/ready template
	rm -rf $(CONTRACT)/recorded
	PULLEY_RECORDINGS=$(CURDIR)/$(CONTRACT)/recorded $(BIN)/python -m pytest -p tests.contract.recorder --quiet \
		--numprocesses 4 --dist loadgroup \
		tests/app tests/cli tests/edges tests/operator tests/sandbox/github
	PULLEY_RECORDINGS=$(CURDIR)/$(CONTRACT)/recorded $(BIN)/pytest --numprocesses 2 tests/contract

.venv/contract: $(READY) requirements-contract.txt
	@$(call quietly,$(BIN)/python $(INSTALL) --requirement requirements-contract.txt,.venv/contract.log)
	@touch $@

$(CONTRACT)/ready: tests/contract/package.json tests/contract/package-lock.json
	@command -v npm >/dev/null || { echo "make contract needs npm." >&2; exit 1; }
	@mkdir -p $(CONTRACT)
	@cp $^ $(CONTRACT)/
	@$(call quietly,npm ci --prefix $(CONTRACT) --ignore-scripts --no-audit --no-fund,$(CONTRACT)/install.log)
	@touch $@

# Measure Pulley and what people would use instead, in under ten minutes: docs/performance.md.
bench: .venv/bench
	$(BIN)/python -m benchmarks

# Measure in about a minute. It fails on counts only, never on a time.
bench-quick: $(READY)
	$(BIN)/python -m benchmarks --quick

.venv/bench: $(READY) requirements-bench.txt
	@$(call quietly,$(BIN)/python $(INSTALL) --requirement requirements-bench.txt,.venv/bench.log)
	@touch $@

# List pinned packages that are known to be vulnerable. It asks PyPI; a workflow runs it each week.
audit: $(TOOLS_READY)
	@$(TOOLS)/pip-audit --require-hashes --disable-pip --strict \
		$(foreach file,$(wildcard requirements*.txt),--requirement $(file)) || \
		{ echo "Where a package is \"not found on PyPI\", PyPI's own API was not reached: not audited." >&2; exit 1; }

# Build a stage's template and zip for CloudFormation in build/STAGE: docs/deploying.md has the next step.
# Remove Python's caches, because Chalice would pack them. Chalice needs some region, but the template
# fits every region.
package: $(READY)
	@test -n "$(STAGE)" || { echo "Say which stage: make package STAGE=prod" >&2; exit 2; }
	@mkdir -p build
	$(BIN)/pulley document --cloudformation --stage $(STAGE) > build/resources-$(STAGE).json
	@find chalicelib -name __pycache__ -prune -exec rm -r {} +
	AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} PYTHONDONTWRITEBYTECODE=1 $(BIN)/chalice package --stage $(STAGE) \
		--merge-template build/resources-$(STAGE).json build/$(STAGE)

# Build a release in build/release: the document, a stage's template and zip, and the command's wheel.
release: $(READY)
	@test -n "$(TAG)" && test "$(TAG)" = "v$$($(BIN)/pulley --version | sed 's/.* //')" || \
		{ echo "Say which release: make release TAG=v and the version of pyproject.toml" >&2; exit 2; }
	rm -rf build/release && mkdir -p build/release
	$(MAKE) --no-print-directory package STAGE=prod
	$(BIN)/pulley document > build/release/document.json
	cp build/prod/sam.json build/release/template.json
	cp build/prod/deployment.zip build/release/deployment.zip
	$(BIN)/python $(PIP) wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/release .
	cd build/release && sha256sum -- * > SHA256SUMS

# Pin the newest versions of everything in pyproject.toml.
lock: $(TOOLS_READY)
	$(COMPILE) --extra dev --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --group tools --output-file requirements-tools.txt
	$(COMPILE) --group bench --constraint requirements-dev.txt --output-file requirements-bench.txt
	$(COMPILE) --group contract --constraint requirements-dev.txt --output-file requirements-contract.txt
	# Without the registry's address, which is another one on another machine.
	cd tests/contract && npm install --package-lock-only --omit-lockfile-registry-resolved --save-exact \
		--no-audit --no-fund @octokit/openapi@latest @octokit/webhooks-examples@latest

$(READY): requirements-dev.txt pyproject.toml
	@command -v git >/dev/null || { echo "Pulley needs git." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Pulley needs Python 3.11 or newer; try: make PYTHON=python3.11" >&2; exit 1; }
	@echo "Making .venv, which takes about a minute ..."
	@$(PYTHON) -m venv --clear .venv
	@$(call quietly,$(BIN)/python $(INSTALL) --requirement requirements-dev.txt && \
		$(BIN)/python $(PIP) install --disable-pip-version-check --no-deps --no-build-isolation --editable . && \
		$(BIN)/python $(PIP) check,.venv/install.log)
	@touch $(READY)

$(TOOLS_READY): requirements-tools.txt
	@echo "Making build/tools ..."
	@$(PYTHON) -m venv --clear build/tools
	@$(call quietly,$(TOOLS)/python $(INSTALL) --requirement requirements-tools.txt,build/tools/install.log)
	@touch $(TOOLS_READY)

clean:
	rm -rf .venv build *.egg-info .coverage .*_cache .hypothesis .chalice/deployments
