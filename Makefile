# Weight Decay by Experiment. `make book` and `make test` need Python 3.11 or newer and a package index.

.DEFAULT_GOAL := help

PYTHON ?= python3
# auto, cpu or cuda: which build of torch is installed on Linux. See tools/build/cpu_torch.py.
TORCH ?= auto
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
ROSETTA := .venv-rosetta
ZOO := .venv-zoo
LOWEST := .venv-lowest
AUDIT := .venv-audit
MUTANTS := .venv-mutants
LIGHTHOUSE := _build/lighthouse
WARNINGS_OF_OLD_VERSIONS := -W ignore::DeprecationWarning -W ignore::UserWarning
# The matrices of the book are small, and some commands start one process a core: more threads would only
# wait for each other. Where there are two of them for once, they sleep while they wait.
ONE_THREAD := OMP_NUM_THREADS=1
# Tests in a browser also wait: one more of them at a time than there are cores.
ONE_MORE := PYTEST_XDIST_AUTO_NUM_WORKERS=$${PYTEST_XDIST_AUTO_NUM_WORKERS:-$$(($(shell getconf _NPROCESSORS_ONLN)+1))}
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
check_python = $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("This book needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name another: make PYTHON=python3.12 book" % sys.version_info[:2])'
stage = @printf '\n== %s\n' '$(1)'

.PHONY: help setup book check test lowest mutants audit links forms epub pdf handout serve notebooks format bench sweep rosetta zoo weight lighthouse home lock clean

help: ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1|/' | awk -F '|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

setup: $(READY) ## create .venv and install everything; the other commands do it by themselves

# Every environment is made alike, of the requirements, constraints and pyproject.toml that it depends on.
$(READY): requirements.txt constraints.txt pyproject.toml setup.cfg
$(LOWEST)/ready: _build/lowest-requirements.txt constraints.txt pyproject.toml setup.cfg
$(MUTANTS)/ready: tools/verify/mutants-requirements.txt tools/verify/mutants-constraints.txt
$(ROSETTA)/ready: tools/measure/rosetta-requirements.txt tools/measure/rosetta-constraints.txt
$(ZOO)/ready: tools/measure/zoo-requirements.txt tools/measure/zoo-constraints.txt

$(READY) $(LOWEST)/ready $(MUTANTS)/ready $(ROSETTA)/ready $(ZOO)/ready: %/ready:
	@$(check_python)
	$(call stage,set-up: installing into $* (once))
	@$(PYTHON) -m venv $*
	@$*/bin/python -m tools.build.cpu_torch $(TORCH) $(filter %requirements.txt,$^)
	@$*/bin/python $(PIP_INSTALL) -r $(filter %requirements.txt,$^) -c $(filter %constraints.txt,$^)
	$(if $(filter pyproject.toml,$^),@$*/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .)
	@touch $@

book: $(READY) ## execute the notebooks and build the book into _build/html
	$(call stage,book: executing the notebooks and building the pages)
	@set -e; start=$$(date +%s); \
	$(ONE_THREAD) $(BIN)/jupyter-book build . --warningiserror --keep-going --quiet; \
	printf 'Built in %d s. Open %s\n' "$$(($$(date +%s) - start))" "$(CURDIR)/_build/html/index.html"

check: $(READY) ## what belongs to the changed files (or FILES=...): seconds, for the loop of work
	@$(BIN)/python -m tools.verify.check $(FILES)

test: book ## lint, unit tests, docstring examples, notebooks, and the built site
	$(call stage,lint: ruff, biome and mypy)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/biome ci --log-level=warn
	@$(BIN)/mypy
	$(call stage,unit tests and docstring examples with the branch coverage of course_lib)
	@$(ONE_THREAD) $(BIN)/python -m pytest -p no:nbval -n auto --dist worksteal --cov --cov-report=term:skip-covered --doctest-modules course_lib tests -m 'not site'
	$(call stage,notebooks: strict nbval in another folder and a random order on two threads)
	@rm -rf _build/elsewhere && cp -r book _build/elsewhere
	@OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE PYTHONHASHSEED=random $(BIN)/python -m pytest -p tools.verify.redrawn --nbval --nbval-cell-timeout=300 -n auto --dist loadscope --no-loadscope-reorder $$(find _build/elsewhere -name '*.ipynb' | sort -R)
	$(call stage,site: the built pages)
	@$(ONE_MORE) $(BIN)/python -m pytest -p no:nbval -n auto --dist worksteal -rs tests/book -m site

lowest: $(LOWEST)/ready ## package, unit tests of course_lib and notebooks, with the lowest versions it admits
	$(call stage,lowest: the package)
	@$(LOWEST)/bin/python $(PIP_INSTALL) --no-deps --upgrade --target $(LOWEST)/build $$($(PYTHON) -m tools.build.lowest build)
	@PYTHONPATH=$(LOWEST)/build $(LOWEST)/bin/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir _build .
	$(call stage,lowest: unit tests of course_lib)
	@$(ONE_THREAD) $(LOWEST)/bin/python -m pytest -p no:nbval $(WARNINGS_OF_OLD_VERSIONS) -n auto --dist worksteal tests/claims tests/module
	$(call stage,lowest: notebooks)
	@$(ONE_THREAD) $(LOWEST)/bin/python -m pytest --nbval --nbval-cell-timeout=300 -n auto --dist loadscope book

_build/lowest-requirements.txt: requirements.txt pyproject.toml tools/build/lowest.py
	@$(check_python)
	@mkdir -p $(@D)
	@$(PYTHON) -m tools.build.lowest > $@

mutants: $(READY) $(MUTANTS)/ready ## change course_lib and the labs on purpose, and see whether a test notices
	@rm -rf mutants
	@$(MUTANTS)/bin/python -c "import site; from pathlib import Path; Path(site.getsitepackages()[0], 'book.pth').write_text(str(next(Path('$(VENV)').resolve().glob('lib/python*/site-packages'))))"
	@$(ONE_THREAD) $(MUTANTS)/bin/python -m tools.verify.mutate run --max-children 2
	@$(MUTANTS)/bin/python -m tools.verify.mutants tools/verify/survivors.txt
	@$(ONE_THREAD) $(BIN)/python -m tools.verify.mutants_of_labs

audit: ## look for known vulnerabilities in what is pinned; needs the internet
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python $(PIP_INSTALL) pip-audit==2.10.1
	@$(AUDIT)/bin/pip-audit --no-deps --disable-pip -r requirements.txt -r constraints.txt

links: $(READY) ## follow every external link of the book; needs the internet
	@$(BIN)/jupyter-book build . --builder linkcheck --quiet

forms: book $(VENV)/forms ## make EPUB, PDF and the cheat sheet on a page, and offer them on the front page
	$(call stage,forms: the built book as an EPUB, as a PDF, and its cheat sheet)
	@$(ONE_THREAD) $(BIN)/python -m tools.build.forms
	@$(ONE_THREAD) $(BIN)/python -m pytest -p no:nbval -rs tests/book/test_forms.py

$(VENV)/forms: tools/build/forms-requirements.txt $(READY)
	@$(BIN)/python $(PIP_INSTALL) -r $< -c constraints.txt
	@touch $@

epub: book ## make an EPUB of the built pages, for readers of books
	$(call stage,epub: the built pages as a book)
	@$(BIN)/python -m tools.build.epub

pdf: $(VENV)/forms ## print the whole book as one PDF; needs Chromium
	$(call stage,pdf: the whole book as one page and then on paper)
	@$(ONE_THREAD) $(BIN)/python -m tools.build.pdf

handout: book ## make two handouts of each chapter, one with the answers, on paper and as notebooks; needs Chromium
	$(call stage,handout: what each chapter asks, without its answers and with them)
	@$(BIN)/python -m tools.build.handout

serve: book ## build, serve on this machine (PORT=8000 or the next), and build again when a source changes
	@$(BIN)/python -m tools.build.serve $(PORT)

notebooks: $(READY) ## execute every notebook, in parallel, and store its outputs in it
	@$(ONE_THREAD) $(BIN)/python -m tools.build.notebooks

format: $(READY) ## format code and notebooks
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/biome check --write --log-level=warn

bench: book ## measure speeds, as ratios within one run, and how soon the labs answer
	@$(BIN)/python -m tools.measure.bench
	@$(BIN)/python -m tools.measure.labs

sweep: $(READY) ## train the networks of chapter 7 on a finer grid, and record it
	@$(ONE_THREAD) $(BIN)/python -m tools.measure.sweep

rosetta: $(ROSETTA)/ready ## fit the libraries that are not dependencies, in an environment of its own
	@$(ROSETTA)/bin/python -m tools.measure.rosetta

zoo: $(ZOO)/ready ## probe the optimizers of many libraries, and see what rules decay in architectures, in another
	@$(ONE_THREAD) $(ZOO)/bin/python -m tools.measure.zoo

weight: $(READY) ## count the requests and bytes of each built page; needs Chromium
	@$(BIN)/python -m tools.measure.weight

$(LIGHTHOUSE)/ready: tools/measure/lighthouse-package.json tools/measure/lighthouse-package-lock.json
	$(call stage,set-up: installing Lighthouse into $(LIGHTHOUSE) (once))
	@mkdir -p $(@D)
	@cp tools/measure/lighthouse-package.json $(@D)/package.json
	@cp tools/measure/lighthouse-package-lock.json $(@D)/package-lock.json
	@npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

lighthouse: book $(LIGHTHOUSE)/ready ## let Lighthouse judge every page as a phone opens it; needs Node.js 18 and Chromium
	@$(BIN)/python -m tools.measure.lighthouse

home: $(READY) ## write the public address everywhere: make home URL=https://github.com/OWNER/REPO
	@$(BIN)/python -m tools.build.home $(URL)

lock: $(READY) ## pin in constraints.txt what requirements.txt brings with it
	@$(BIN)/python -m tools.build.lock

clean: ## remove what was built and installed
	rm -rf _build $(VENV) $(ROSETTA) $(ZOO) $(LOWEST) $(AUDIT) $(MUTANTS) mutants dist course_lib.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
