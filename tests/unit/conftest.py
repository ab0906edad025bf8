"""Lets the helpers of specifications explain what differed, as tests do."""

import pytest

pytest.register_assert_rewrite("tests.unit.spec")
