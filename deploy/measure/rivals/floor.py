"""The floor: the API's own server with nothing behind it but one statement a request.

`python -m deploy.measure.rivals.floor --port N`. No front door in this language and on this database can do less and
still have an order written down, so the product is measured by how near it comes.
"""

from __future__ import annotations

from deploy.measure.rivals.door import arguments


def main() -> None:
    """Serve until SIGTERM."""
    asked = arguments("the floor")

    # As api/main.py: before anything that uses sockets is imported.
    from gevent import monkey

    monkey.patch_all()

    from deploy.measure.rivals.floor_app import Server
    from shared.config import Settings

    Server(Settings(), bind=f"{asked.host}:{asked.port}", workers=asked.workers).run()


if __name__ == "__main__":
    main()
