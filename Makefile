# The front door: every target sets up what it needs. Needed on the machine: Python 3.11 or later, make, git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# a Python that has plaso or other readers of EVTX, for `make bench`
PEERS ?= $(BIN)/python

.PHONY: demo test lint types fix docs examples golden bench bench-models score score-check fuzz clean

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable .
	touch $(READY)

demo: $(READY)  ## write a small company's event logs, read them into a case, and show the night of the intrusion
	rm -rf demo
	$(BIN)/python -m logontracks.simulate demo/logs --truth demo/truth
	$(BIN)/logontracks ingest demo/logs --case demo/case
	$(BIN)/logontracks failures --by source --case demo/case
	$(BIN)/logontracks presence --user anna.berg --since 2026-10-08 --until 2026-10-08 --case demo/case
	$(BIN)/logontracks tracks --from 203.0.113.57 --to DC02 --case demo/case
	@echo
	@echo "The case is in demo/case. Follow docs/tutorial.md, or ask:"
	@echo "  $(BIN)/logontracks track anna.berg --case demo/case --since 2026-10-08 --until 2026-10-08"

test: $(READY) lint types  ## everything that has to hold
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

fix: $(READY)  ## format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY)  ## write the pages that are made from code and data, and the site in docs/_build
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --jobs auto --quiet -b html docs docs/_build
	@echo "The site is in docs/_build: open docs/_build/index.html"

examples: $(READY)  ## run the examples of the pages, and put what they show now into the pages and the picture
	$(BIN)/python docs/examples.py

golden: $(READY)  ## rewrite tests/golden and tests/golden_sessions from the real logs; `git diff` is the review
	$(BIN)/python -m pytest tests/test_golden.py tests/test_golden_sessions.py --rewrite-golden -n 0

bench: $(READY)  ## measure, on data made for it
	$(BIN)/python benchmarks/make_data.py
	$(BIN)/python benchmarks/bench.py --peers $(PEERS)
	$(BIN)/python benchmarks/bench_forms.py

bench-models: $(READY)  ## measure how long sessions and the other tables take, for one and for ten million events
	rm -rf benchmarks/data/company
	$(BIN)/logontracks simulate --out benchmarks/data/company --hosts 100 --users 120 --days 10 --form parquet
	$(BIN)/python benchmarks/bench_models.py benchmarks/data/company/logs --ask

score: $(READY)  ## how often the tables are right, over simulated companies; writes the table of docs/score.md
	$(BIN)/python benchmarks/score.py

score-check: $(READY)  ## the same, and fail where a figure is below the one that docs/score.md has
	$(BIN)/python benchmarks/score.py --check

fuzz: $(READY)  ## ten thousand damaged files
	$(BIN)/python tests/fuzz/fuzz_evtx.py --count 10000

clean:
	rm -rf $(VENV) demo build dist docs/_build benchmarks/data .mypy_cache .ruff_cache .pytest_cache .hypothesis
