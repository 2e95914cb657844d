"""What the servers we compare with are told when they are started."""

from __future__ import annotations

import argparse


def arguments(description: str) -> argparse.Namespace:
    """Host, port and number of processes, as api.main takes them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()
