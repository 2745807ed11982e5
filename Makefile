# `make demo` and `make test` each do everything on a fresh machine: a virtual environment, exact versions, the job.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= python3
WORKERS ?= 2

.PHONY: demo test check install claims claims-tune bench clean help

help:
	@echo "make demo     train SFT, RFT and UFT side by side on the embedded model; the report opens from runs/demo/report.html"
	@echo "make test     the whole test suite"
	@echo "make check    ruff, mypy --strict, import contracts"
	@echo "make claims   every claim of docs/claims.md, measured again with the settings chosen before"
	@echo "make claims-tune   the same, with every arm tuned first (hours)"
	@echo "make bench    speed, measured side by side"

# torch goes in first and alone: a looser request would pull the CUDA build.
$(STAMP): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e ".[math]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hypothesis import-linter mypy pytest pytest-xdist ruff types-PyYAML
	@touch $(STAMP)

install: $(STAMP)

demo: install
	$(BIN)/posttrain demo --out runs/demo

test: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -q

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

claims: install
	$(BIN)/python claims/run.py

claims-tune: install
	$(BIN)/python claims/run.py --tune

bench: install
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
