# Needs Python >= 3.11 with pip; everything else goes into .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint slow clean

demo: $(READY)  ## train on real handwritten digits, about a minute, and write pictures to demo/
	$(BIN)/contrastive-entropy fit generator --data digits --out demo --overwrite
	@echo "Look at demo/samples.png: held-out digits on the left, generated ones on the right."

test: $(READY)  ## all tests but the slow ones, on all cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

slow: $(READY)  ## the slow ones
	$(BIN)/python -m pytest -m "slow and not gpu"

lint: $(READY)  ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

clean:  ## remove what make made, except your runs
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis dist

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python >= 3.11 is needed: make PYTHON=python3.12 ...')"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	# in a folder of its own, without torchvision: PyPI's does not load beside a CPU's torch, and lightning loads it where it is
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --upgrade \
		--target .venv/features torch-fidelity
	touch $(READY)
