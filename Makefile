# Two commands matter: make demo, make test. Both set everything up first.

.PHONY: demo test test-chain lint format clean notebooks

demo: .venv/ready
	.venv/bin/greenray demo --size 256MiB

test: .venv/ready
	.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder

# The recorded transactions against any v0.2 node; docs/chain.md has the form of the keys.
test-chain: .venv/ready
	@test -n "$(ENDPOINT)" -a -n "$(KEYS)" || { echo "usage: make test-chain ENDPOINT=URL KEYS=keys.json"; exit 2; }
	.venv/bin/python -m tests.support.live_replay "$(ENDPOINT)" "$(KEYS)"

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/ready
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:
	rm -rf .venv build coding/*.so *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: requirements.lock pyproject.toml scripts/setup coding/sha256_lanes.c
	scripts/setup

# Runs the notebooks again and keeps their new outputs.
notebooks: .venv/ready
	.venv/bin/jupyter execute --inplace notebooks/*.ipynb
