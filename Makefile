# `make demo` and `make test` each do everything on a fresh machine: a virtual environment, exact versions, the job.
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= python3
WORKERS ?= 2

CORE ?= 0
TRL := benchmarks/.peers
VLLM := benchmarks/.vllm

.PHONY: demo test check install claims claims-long claims-tune bench bench-quick bench-growth bench-gpu bench-tune peers clean help

help:
	@echo "make demo     train SFT, RFT and UFT side by side on the embedded model; the report opens from runs/demo/report.html"
	@echo "make test     the whole test suite"
	@echo "make check    ruff, mypy --strict, import contracts"
	@echo "make claims   the short claims of docs/claims.md, measured again with the settings chosen before (an hour)"
	@echo "make claims-long   the long ones (hours)"
	@echo "make claims-tune   all of them, with every arm tuned first (hours)"
	@echo "make bench    speed, side by side with TRL and vLLM on processor core CORE=0, and why (an hour)"
	@echo "make bench-quick   the works that say most (ten minutes)"
	@echo "make bench-growth  how time and memory grow with groups, texts, vocabularies and data (a quarter of an hour)"
	@echo "make bench-gpu     what a GPU's limits leave to be gained (a few minutes)"
	@echo "make bench-tune    look for the fastest settings of everybody (hours)"

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

claims-long: install
	$(BIN)/python claims/run.py --long

claims-tune: install
	$(BIN)/python claims/run.py --tune
	$(BIN)/python claims/run.py --tune --long

# The peers live in environments of their own, so that their versions are theirs.
$(TRL)/.installed: benchmarks/peers.txt
	$(PYTHON) -m venv $(TRL)
	$(TRL)/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' benchmarks/peers.txt)"
	$(TRL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt
	@touch $@

$(VLLM)/.installed: benchmarks/vllm.txt
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' benchmarks/vllm.txt)"
	$(VLLM)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/vllm.txt
	@touch $@

peers: $(TRL)/.installed $(VLLM)/.installed

bench: install peers
	$(BIN)/python -m benchmarks.run --cores $(CORE)
	$(BIN)/python -m benchmarks.decisions --core $(CORE)
	$(BIN)/python -m benchmarks.parts --core $(CORE)
	$(BIN)/python docs/generate.py

bench-quick: install peers
	$(BIN)/python -m benchmarks.run --quick --cores $(CORE)
	$(BIN)/python docs/generate.py

# The memory of a step is compared with TRL's.
bench-growth: install $(TRL)/.installed
	$(BIN)/python -m benchmarks.growth --core $(CORE)
	$(BIN)/python -m benchmarks.memory --core $(CORE)

bench-gpu: install
	$(BIN)/python -m benchmarks.gpu

bench-tune: install peers
	$(BIN)/python -m benchmarks.run --tune --cores $(CORE)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
