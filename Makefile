.PHONY: test
UV := $(shell command -v uv)

.venv/.made: pyproject.toml  ## the environment
	$(if $(UV),uv venv -q --allow-existing .venv,python3 -m venv .venv && .venv/bin/pip install -q uv)
	$(if $(UV),uv,.venv/bin/uv) pip install -q --python .venv/bin/python --group dev -e .
	touch $@

test: .venv/.made  ## prove it
	.venv/bin/pytest -q tests/unit
