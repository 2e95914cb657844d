"""The door of the API process: `python -m api.main --host H --port N --workers W`.

Standard sockets become cooperative before anything that uses them is imported: so the patch comes first and the
other imports stand inside. Importing this file still does nothing.
"""

from __future__ import annotations

import argparse


def main() -> None:
    """Serve until SIGTERM; then finish what runs and go."""
    asked = _arguments()

    from gevent import monkey

    monkey.patch_all()

    from api.server import Server
    from shared import logs
    from shared.config import Settings

    settings = Settings()
    logs.configure(settings.log_level)
    Server(settings, host=asked.host, port=asked.port, workers=asked.workers).run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api.main", description="The C2A checkout API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=2, help="processes; one a core")
    return parser.parse_args()


if __name__ == "__main__":
    main()
