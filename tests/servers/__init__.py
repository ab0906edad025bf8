"""Real servers for the tests and for ``make run-real``, without Docker: each class runs one server of our own.

``python -m tests.servers provision`` installs what they need; ``python -m tests.servers up`` runs all of them.
"""

from __future__ import annotations

import secrets


def fresh_name(prefix: str = "t") -> str:
    """A short name that no other test uses: a valid schema, database, index, key prefix, queue or virtual host."""
    return f"{prefix}{secrets.token_hex(5)}"
