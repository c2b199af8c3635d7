# Two commands matter: make demo, make test. Both set everything up first.

# Tests start some hundred processes, which would all compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-chain test-stock long chaos faults floods fuzz lint format clean notebooks lock release

demo: .venv/ready
	.venv/bin/greenray demo --size 256MiB

test: .venv/ready-dev
	.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

# Tests of minutes: a network killed after each of its journal's writes.
long: .venv/ready-dev
	.venv/bin/pytest -m long

# Thousands of objects and hundreds of clients at a time, and what they leave behind; 10 GB of disk.
floods: .venv/ready-dev
	.venv/bin/python -m tests.support.floods

# Kills and stops of every process of a real network: SEEDS worlds, two minutes or more each.
chaos: .venv/ready-dev
	.venv/bin/python -m tests.faults.chaos --seeds $(SEEDS)

# The recorded transactions against any v0.2 node; docs/chain.md has the form of the keys.
test-chain: .venv/ready-dev
	@test -n "$(ENDPOINT)" -a -n "$(KEYS)" || { echo "usage: make test-chain ENDPOINT=URL KEYS=keys.json"; exit 2; }
	.venv/bin/python -m tests.support.live_replay "$(ENDPOINT)" "$(KEYS)"

# Random worlds: make faults SEEDS=200, or one again with its plan and trace: make faults SEED=123.
# FIRST=1000 begins elsewhere; SHRINK=1 makes a plan that fails as small as it still fails.
SEEDS = 20
FIRST = 0
faults: .venv/ready-dev
	.venv/bin/python -m tests.support.worlds --first $(FIRST) --seeds $(SEEDS) \
		$(if $(SEED),--seed $(SEED)) $(if $(SHRINK),--shrink)

# Random HTTP, signed and not, slow and broken off: make fuzz MINUTES=60, FIRST=1000 to begin elsewhere,
# or one conversation again: make fuzz SEED=123.
MINUTES = 60
fuzz: .venv/ready-dev
	.venv/bin/python -m tests.hostile.fuzz --minutes $(MINUTES) --first $(FIRST) $(if $(SEED),--seed $(SEED))

lint: .venv/ready-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

# A newcomer's first command, and hosts of a cluster, with the system's Python and nothing else.
test-stock:
	scripts/check-stock-machine

format: .venv/ready-dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:
	rm -rf .venv build src/greenray/coding/*.so src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

SETUP = pyproject.toml scripts/setup scripts/make-venv src/greenray/coding/sha256_lanes.c

.venv/ready: requirements.lock $(SETUP)
	scripts/setup

.venv/ready-dev: requirements-dev.lock $(SETUP)
	scripts/setup dev

# Newer versions of everything: scripts/lock --upgrade.
lock:
	scripts/lock

# Wheel, lock, SBOM and audit, in dist/. Where no index of vulnerabilities answers: AUDIT=skip make release
release:
	scripts/release

# Runs the notebooks again and keeps their new outputs.
notebooks: .venv/ready-dev
	.venv/bin/jupyter execute --inplace notebooks/*.ipynb
