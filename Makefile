# Everything a developer or a machine does with this repository. `make run` and `make test` need nothing beforehand but Python 3.11 to 3.13.
#   make run  ARGS="--for 30s" [DATA=folder of market data]     make test ARGS="-k journal"     make install PYTHON=python3.12
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
DEV := .venv/.developed
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check --progress-bar off -c constraints.txt
WORKERS ?= 2
RESULTS := .bench/results.json

.DEFAULT_GOAL := install
.PHONY: install dev run test check wasm bench soak docs changelog clean

install: $(STAMP)

dev: $(DEV)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	  || { echo "install: expected Python 3.11, 3.12 or 3.13, found $$($(PYTHON) --version 2>&1); name another: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/system python3-venv
	@echo "install: .venv with $$($(PYTHON) --version)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'install: packages as pinned in constraints.txt (a minute or two the first time)'
	@$(PIP) -e .
	@touch $@
	@echo "install: done, the command is $(BIN)/tercel"

$(DEV): $(STAMP)
	@echo 'install: what tests, checks and benchmarks use besides (a minute or two the first time)'
	@$(PIP) -e '.[dev]'
	@touch $@

run: install
	@.ci/system libgomp1 || true
	@$(BIN)/python -m tercel.cli.main demo $(if $(DATA),--data "$(DATA)") $(ARGS)

check: dev
	@echo 'check: ruff' && $(BIN)/ruff check -q .
	@echo 'check: ruff format' && $(BIN)/ruff format -q --check . || { echo 'format: run .venv/bin/ruff format .' >&2; exit 1; }
	@echo 'check: mypy --strict' && $(BIN)/mypy --no-error-summary
	@echo 'check: import contracts' && { report=$$($(BIN)/lint-imports 2>&1) || { echo "$$report" >&2; exit 1; }; }
	@echo 'check: tidy' && $(BIN)/python -m pytest -q --no-header tests/test_tidy.py

test: dev
	@.ci/system chromium strace libgomp1 nodejs redis-server openssl zsh fish || true
	@$(MAKE) --no-print-directory check
	@echo 'test: pytest, $(WORKERS) workers'
	@$(BIN)/python -m pytest -q --no-header -n $(WORKERS) --dist loadfile -m 'not peers' --ignore=tests/test_tidy.py $(ARGS)

# The browser's module, from the opcodes: run it after a change of one, and commit the file; a test compares the hash.
wasm: dev
	@$(BIN)/python -m tercel.features.wasm build web/features.wasm
	@sha256sum web/features.wasm && echo "wasm: web/features.wasm, $$(wc -c < web/features.wasm) bytes"

bench: dev
	@mkdir -p $(dir $(RESULTS))
	@$(BIN)/python -m benchmarks all --json $(ARGS) > $(RESULTS)
	@$(BIN)/python -m benchmarks page $(RESULTS) > $(RESULTS).md
	@mv $(RESULTS).md docs/benchmarks.md
	@echo 'bench: results in $(RESULTS), the page in docs/benchmarks.md'

soak: dev
	@$(BIN)/python -m benchmarks soak $(ARGS)
	@$(BIN)/python -m benchmarks cache_soak --minutes 60 $(ARGS)

docs: dev
	@echo 'docs: links, anchors, commands and code blocks' && $(BIN)/python -m pytest -q --no-header tests/test_docs.py
	@$(BIN)/python -m docs.generate.site site

# A release: what changelog.d/ says becomes a section of CHANGELOG.md, and the fragments go.
changelog: dev
	@test -n "$(VERSION)" || { echo 'changelog: expected a version: make changelog VERSION=0.2.0' >&2; exit 1; }
	@$(BIN)/python -m towncrier build --yes --version "$(VERSION)"

clean:
	@rm -rf .venv build dist site .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
	@echo 'clean: done; TERCEL_HOME (history, journals, compiled kernels) is untouched'
