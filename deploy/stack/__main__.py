"""The four commands, inside .venv."""

from __future__ import annotations

import importlib
import sys

from deploy.stack import checks, options


def main() -> int:
    """Run the command that was asked for; its exit code."""
    arguments, pytest_arguments = sys.argv[1:], list[str]()
    if "--" in arguments:
        at = arguments.index("--")
        arguments, pytest_arguments = arguments[:at], arguments[at + 1 :]
    asked = options.parser().parse_args(arguments)
    # By name, when needed: deploy/down has no use for all that deploy/up imports.
    if asked.command == "test":
        return checks.main(asked.tier, pytest_arguments)
    detached = asked.command == "up" and asked.detach
    module = {"bench": "deploy.measure.command"}.get(asked.command, f"deploy.stack.{asked.command}")
    command = importlib.import_module("deploy.stack.detach" if detached else module)
    code: int = command.main(asked)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
