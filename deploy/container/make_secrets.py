"""Makes what deploy/compose.yaml reads and nobody else may: passwords, addresses that hold them, and the sealing keys.

`python -m deploy.container.make_secrets FOLDER` writes FOLDER/secrets/ and FOLDER/.env, which names the broker. Nothing
that is there is changed, but for the broker's address: a password that is made anew opens no database.
"""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared import keyring

BROKERS: Final = ("redis", "rabbitmq")
_PROFILE: Final = "COMPOSE_PROFILES="
PASSWORD_BYTES: Final = 24
"""192 random bits."""


def main(arguments: list[str] | None = None) -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(prog="python -m deploy.container.make_secrets", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--broker", choices=BROKERS, default=BROKERS[0])
    asked = parser.parse_args(arguments)
    make(asked.folder, asked.broker)


def make(folder: Path, broker: str) -> None:
    """Make what is missing in *folder*, for a deployment with that *broker*."""
    place = folder / "secrets"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)

    def kept(name: str, fresh: Callable[[], str]) -> str:
        file = place / name
        if not file.exists():
            _write(file, fresh())
        return file.read_text()

    owner, api, broken, vault = (kept(f"{name}_password", _password) for name in ("owner", "api", "broker", "vault"))
    kept("postgres_password", _password)
    kept("grafana_password", _password)
    kept("database_url", lambda: f"postgresql://c2a:{owner}@postgres:5432/c2a")
    kept("api_database_url", lambda: f"postgresql://c2a_api:{api}@postgres:5432/c2a")
    kept("vault_url", lambda: f"redis://:{vault}@redis-vault:6379/0")
    kept("vault.conf", lambda: f"requirepass {vault}\n")
    kept("redis-broker.conf", lambda: f"requirepass {broken}\n")
    kept("rabbitmq.conf", lambda: f"default_vhost = c2a\ndefault_user = c2a\ndefault_pass = {broken}\n")
    urls = {
        "redis": f"redis://:{broken}@redis-broker:6379/0",
        "rabbitmq": f"amqp://c2a:{broken}@rabbitmq:5672/c2a",
    }
    _write(place / "broker_url", urls[broker])
    _write(folder / ".env", _with_profile(folder / ".env", broker))
    _keys(place / "keys")


def _with_profile(file: Path, broker: str) -> str:
    """What *file* says, but for the broker: it is also where a deployment's URL and ports are set."""
    others = [line for line in _lines(file) if not line.startswith(_PROFILE)]
    return "".join(f"{line}\n" for line in (f"{_PROFILE}{broker}", *others))


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def _keys(place: Path) -> None:
    """The keyring in a folder of its own, which is mounted as a whole."""
    place.mkdir(exist_ok=True)
    place.chmod(0o755)
    file = place / "keyring.json"
    if not file.exists():
        keyring.save(keyring.fresh(), file)
        file.chmod(0o444)


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _write(file: Path, text: str) -> None:
    """Containers read it as other users, whom the folder (0700) does not keep away: a file is mounted by itself."""
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(0o644)


if __name__ == "__main__":
    main()
