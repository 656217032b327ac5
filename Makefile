# make demo    the whole story, from signed events to a verdict in your browser
# make test    lint, types, every test, coverage; what CI runs
# make test-postgresql   every test again, with PostgreSQL as the default database
# make setup   the virtual environment alone (.venv, command .venv/bin/provenance)
# HOST=...     the address the demo listens on (default: this machine's own network address on a terminal,
#              so that a phone can open it; 127.0.0.1 keeps it to this machine)

BIN := .venv/bin
HOST ?= auto
PORT ?= 8000
DATA ?= demo-data
TESTS ?= tests
JOBS ?= 2
CORE := merkle/*,qr/*,provenance/domain/*,provenance/crypto/*,provenance/verify/*

.PHONY: setup setup-test demo test test-postgresql lint types check-tests verifier lock clean

setup:
	@sh scripts/setup.sh run

setup-test:
	@sh scripts/setup.sh test

demo: setup
	@$(BIN)/provenance demo --data $(DATA) --host $(HOST) --port $(PORT)

test: setup-test lint types check-tests

# Every test once, with PostgreSQL wherever SQLite is the default.
test-postgresql: setup-test
	@TEST_DATABASE=postgresql $(BIN)/pytest $(TESTS) -n $(JOBS) --dist loadgroup

lint:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types:
	@$(BIN)/mypy
	@$(BIN)/mypy app.py migrations scripts

check-tests:
	@rm -f .coverage .coverage.*
	@$(BIN)/pytest $(TESTS) -n $(JOBS) --dist loadgroup --cov --cov-report=
	@$(BIN)/coverage report --include='$(CORE)' --precision=1 --skip-covered
	@$(BIN)/python scripts/check_branches.py

# The one-file verifier is built from static/js/verify and committed; a test proves it is in step.
verifier: setup
	@$(BIN)/provenance build-verifier

# Renews the pinned, hashed dependency lists. Needs uv; the lists name no index.
lock:
	uv pip compile pyproject.toml requirements/build.in --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -q -o requirements/run.txt
	uv pip compile pyproject.toml requirements/build.in --extra test --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -q -c requirements/run.txt -o requirements/test.txt
	uv pip compile requirements/outside.in --universal --python-version 3.12 --generate-hashes --no-header --no-emit-index-url --no-annotate -q -o requirements/outside.txt

clean:
	rm -rf .venv .outside node_modules static/vendor demo-data .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
