# `make up` and `make test` do all their own set-up on a fresh machine: a virtual environment in .venv, dependencies pinned with hashes.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ARGS   ?=
# Processes that share the tests.
WORKERS ?= 2

.PHONY: up down test type-pages clients screens lint types build docs bench clean lock soak-simulate soak-producer soak-ingest soak-flink soak-console

up: $(VENV)/.ready
	$(BIN)/clickreel up $(ARGS)

down: $(VENV)/.ready
	$(BIN)/clickreel down $(ARGS)

test: $(VENV)/.ready-dev
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

# Every command of the README and of the streaming guide, in order on a fresh home, as a reader gets it: minutes. (`make test` types the guide.)
type-pages: $(VENV)/.ready-dev
	CLICKREEL_TYPE_PAGES=1 $(BIN)/pytest -s tests/docs/test_typed_pages.py $(ARGS)

# Other people's clients against the local ClickHouse, each fetched first: clickhouse-go, JDBC, the JavaScript client, dbt, clickhouse-connect.
clients: $(VENV)/.ready-dev
	CLICKREEL_CLIENTS=1 $(BIN)/pytest tests/clickhouse/test_go_client.py tests/clickhouse/test_jdbc.py tests/clickhouse/test_javascript.py tests/clickhouse/test_dbt.py tests/clickhouse/test_clients.py $(ARGS)

# Every screen of the page in a browser, on a stack that streams, in both themes and two widths: ten minutes, pictures in build/console.
screens: $(VENV)/.ready-dev
	CLICKREEL_SCREENS=1 $(BIN)/pytest --reruns=0 tests/console/test_running_stack.py $(ARGS)

lint: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.ready-dev
	$(BIN)/mypy src tests

build: $(VENV)/.ready-dev
	$(BIN)/python -m build --no-isolation --outdir dist .

docs: $(VENV)/.ready-dev
	$(BIN)/python -m clickreel.cli.reference

bench: $(VENV)/.ready
	$(BIN)/clickreel bench $(ARGS)

soak-simulate: $(VENV)/.ready-dev
	$(BIN)/python -m tests.soak.simulate $(ARGS)

soak-producer: $(VENV)/.ready-dev
	$(BIN)/python -m tests.soak.producer $(ARGS)

soak-ingest: $(VENV)/.ready-dev
	$(BIN)/python -m tests.soak.ingest $(ARGS)

soak-flink: $(VENV)/.ready-dev
	$(BIN)/python -m tests.soak.flink $(ARGS)

soak-console: $(VENV)/.ready-dev
	$(BIN)/python -m tests.soak.console $(ARGS)

# Pins: one file for users, one that adds what developers need, one for uv itself. No index address stands in either.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet --extra all pyproject.toml -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --quiet --extra all pyproject.toml --group dev -o requirements-dev.txt
	echo uv | uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet - -o .ci/uv.txt

# The programs of the local stack: resolved, fetched, measured. Change the versions in the module, run this, read the difference.
jars-lock: $(VENV)/.ready
	$(BIN)/python -m clickreel.local.write_jar_lock

# uv where it is present, else pip fetches it first, else pip alone: the same pinned files, the same hashes.
$(VENV)/.ready: requirements.txt pyproject.toml
	@.ci/environment $(PYTHON) $(VENV) requirements.txt
	@touch $@

$(VENV)/.ready-dev: requirements-dev.txt requirements.txt pyproject.toml
	@.ci/environment $(PYTHON) $(VENV) requirements-dev.txt
	@touch $@ $(VENV)/.ready

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
