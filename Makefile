# Two commands matter: make demo, make test. Both set everything up first.

.PHONY: demo test lint format clean notebooks

demo: .venv/ready
	.venv/bin/greenray demo --size 256MiB

test: .venv/ready
	.venv/bin/pytest

lint: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/ready
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/ready: requirements.lock pyproject.toml scripts/setup
	scripts/setup

# Runs the notebooks again and keeps their new outputs.
notebooks: .venv/ready
	.venv/bin/jupyter execute --inplace notebooks/*.ipynb
