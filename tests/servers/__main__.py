"""``python -m tests.servers provision | up DIRECTORY | hold NAME OWNER_PID``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.servers import holding, provision, up


def main(arguments: list[str]) -> int:
    """Run one of the commands. Returns the exit code."""
    match arguments:
        case ["provision"]:
            try:
                provision.provision()
            except provision.ProvisionFailed as failure:
                print(f"servers: {failure}", file=sys.stderr)  # noqa: T201 - a command's answer
                return 1
            return 0
        case ["up", directory]:
            return up.up(Path(directory).absolute())
        case ["hold", name, owner]:
            holding.hold(name, int(owner))
            return 0
        case _:
            print(__doc__, file=sys.stderr)  # noqa: T201 - a command's answer
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
