# `make demo` and `make test` set up what they need. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WEB := lambda/livemosaic/api/web
PACKAGE := pyproject.toml lambda/requirements.in packaging/laptop.in
NPM := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
# One more than the two cores of CI: tests of browsers and of deployments wait half of their time.
WORKERS ?= 3
# Some images set it; each of the many processes of the tests would compile all sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup web demo check test lint docs film format bench bench-views aws-local deploy dist requirements clean

.NOTPARALLEL:

help: ## List the targets.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.done node_modules/.done web ## Install all dependencies into .venv and node_modules.

web: $(WEB)/maplibre/.done ## Bring the page's files from npm.

dist: setup ## Build the sdist and the wheel into dist/.
	rm -rf dist
	$(BIN)/uv build -q

demo: $(VENV)/.demo web ## Watch a live mosaic grow on a map at http://127.0.0.1:8000.
	$(BIN)/livemosaic demo $(ARGS)

aws-local: setup ## Deploy to an emulated AWS on this machine, and watch the demo's scenes arrive.
	$(BIN)/python -m livemosaic_cdk.tools.demo $(ARGS)

deploy: setup ## Deploy to your AWS account, after listing what that creates and costs.
	$(BIN)/python -m livemosaic_cdk.tools.deploy $(ARGS)

check: lint ## Run lint, unit tests, the table contract on SQLite and the API tests, but slow ones: 3 minutes.
	$(BIN)/pytest -q -n $(WORKERS) --dist loadfile -m "not emulator and not slow" tests/unit tests/contract tests/api $(ARGS)

test: setup ## Run all tests, including emulated DynamoDB and headless Chromium.
	@$(BIN)/python tests/chromium.py
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: setup ## Check style (ruff), types (mypy, strict) and imports (import-linter).
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -n 2
	$(BIN)/lint-imports

docs: setup ## Build the documentation as a site into build/site.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict -d build/site

film: setup ## Film the demo's page: README's moving picture (10 minutes and more).
	PYTHONPATH=tests:. $(BIN)/python -m browser.film docs/demo.webp $(ARGS)

format: setup ## Format the code and fix style where possible (ruff).
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Measure ingestion, tiles, overview cells and cold starts, next to the peers.
	$(BIN)/python -m bench ingest
	$(BIN)/python -m bench tiles
	$(BIN)/python -m bench cells
	$(BIN)/python -m bench low
	$(BIN)/python -m bench edges
	$(BIN)/python -m bench imports
	$(BIN)/python -m bench build
	$(BIN)/python -m bench race

bench-views: setup ## Measure maps of low zooms over 4,900 COGs, next to the peers: up to an hour.
	$(BIN)/python -m bench views $(ARGS)

requirements: setup ## Update the pins in requirements.txt and lambda/requirements.txt.
	$(BIN)/uv pip compile -q --universal --no-annotate --no-header --python-version 3.11 \
		requirements.in -o requirements.txt
	mkdir -p build && grep -v '^-e' requirements.txt > build/pins.txt
	$(BIN)/uv pip compile -q --universal --no-annotate --no-header --python-version 3.11 \
		lambda/requirements.in -c build/pins.txt -o lambda/requirements.txt
	sed -i.old "s/^pyarrow==.*/$$(grep '^pyarrow==' build/pins.txt)/" lambda/arrow.txt && rm lambda/arrow.txt.old
	sed -i.old "s/^planetcantile==.*/$$(grep '^planetcantile==' build/pins.txt)/" lambda/planets.txt && rm lambda/planets.txt.old

clean: ## Remove everything that was installed and generated.
	rm -rf $(VENV) node_modules dist $(WEB)/maplibre $(WEB)/swagger build demo

$(BIN)/pip:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=python3.12 …"'
	$(PYTHON) -m venv $(VENV)

# What a user needs, a quarter of what development needs.
$(VENV)/.demo: $(BIN)/pip $(PACKAGE)
	grep -v '^-e' requirements.txt > $(VENV)/pins.txt
	$(BIN)/pip install --disable-pip-version-check -e . -c $(VENV)/pins.txt
	touch $@

# uv takes a third of pip's time, but does not read pip.conf: pip comes to the rescue.
$(VENV)/.done: $(BIN)/pip requirements.txt $(PACKAGE)
	$(BIN)/pip install -q --disable-pip-version-check "$$(grep '^uv==' requirements.txt)"
	$(BIN)/uv pip install -q -p $(BIN)/python --compile-bytecode -r requirements.txt \
		|| $(BIN)/pip install -q --disable-pip-version-check -r requirements.txt
	touch $@ $(VENV)/.demo

node_modules/.done: package.json package-lock.json
	$(NPM)
	touch $@

$(WEB)/maplibre/.done: package.json package-lock.json
	[ -e node_modules/.done ] || $(NPM) --omit=dev
	mkdir -p $(WEB)/maplibre $(WEB)/swagger
	cd node_modules/maplibre-gl && cp dist/maplibre-gl.mjs dist/maplibre-gl-worker.mjs \
		dist/maplibre-gl.css LICENSE.txt $(CURDIR)/$(WEB)/maplibre/
	cd node_modules/swagger-ui-dist && cp swagger-ui-bundle.js swagger-ui.css LICENSE NOTICE \
		$(CURDIR)/$(WEB)/swagger/
	touch $@
