"""The other broker, for those who run RabbitMQ: one node of our own, kept on disk, on loopback alone.

A node finds others through epmd, which Erlang would start as a daemon that outlives everybody. So it gets one of its
own, on a port of its own, that the kernel ends with the node. Debian's rabbitmq-server changes the account, so what it
wraps is started instead, and none of the machine's own configuration of RabbitMQ is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.stack import binaries, ports
from deploy.stack.home import Home
from deploy.stack.ports import HOST
from deploy.stack.program import HOME_MARK, Program
from shared import broker

NAME: Final = "rabbitmq"
LOGIN: Final = "c2a"
"""The user and the virtual host."""
NODE: Final = "c2a@localhost"
SETTINGS: Final = {
    "default_vhost": LOGIN,
    "default_user": LOGIN,
    "log.console": "true",
    "log.console.level": "warning",
    "log.file": "false",
    # As the Redis broker: an alert long before, publishers held back before the machine swaps.
    "vm_memory_high_watermark.absolute": "512MB",
    "disk_free_limit.absolute": "64MB",
}
START: Final = """\
setpriv --pdeathsig KILL epmd -address "$ERL_EPMD_ADDRESS" -port "$ERL_EPMD_PORT" &
for _ in $(seq 100); do epmd -names >/dev/null 2>&1 && break; sleep 0.1; done
exec "$0"
"""
"""The shell becomes the node, so its number is the node's and epmd is its child."""


@dataclass(frozen=True, slots=True)
class RabbitMQ:
    """One node of ours."""

    folder: Path
    port: int
    epmd_port: int
    distribution_port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        """The address, password included."""
        return f"amqp://{LOGIN}:{self.password}@{HOST}:{self.port}/{LOGIN}"

    def is_ready(self) -> bool:
        """Whether the node lets us in."""
        connection = broker.connect(self.url, socket_timeout_s=1.0)
        try:
            connection.ensure_connection(max_retries=0)  # type: ignore[no-untyped-call]
            connection.release()  # type: ignore[no-untyped-call]
        except broker.AWAY:
            return False
        return True


def prepare(home: Home) -> RabbitMQ:
    """The node of *home*, on ports of its own."""
    port, epmd, distribution = (ports.kept(home, NAME + more) for more in ("", "-epmd", "-distribution"))
    return RabbitMQ(home.path / NAME, port, epmd, distribution, home.password_of(NAME))


def program(server: RabbitMQ, home: Home) -> Program:
    """How to run *server*; its password goes through a file. Raises NotFound."""
    node = binaries.rabbitmq_server()
    server.folder.mkdir(mode=0o700, exist_ok=True)
    config = server.folder / "rabbitmq.conf"
    config.touch(mode=0o600)
    settings = {**SETTINGS, "default_pass": server.password, "listeners.tcp.1": f"{HOST}:{server.port}"}
    config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    (server.folder / "enabled_plugins").write_text("[].\n")
    return Program(
        name=NAME,
        argv=("/bin/sh", "-c", START, str(node)),
        log=home.log_of(NAME),
        cwd=server.folder,
        env=_environment(server) | {HOME_MARK: str(home.path)},
        is_ready=server.is_ready,
        grace_s=20.0,  # It writes what its queues hold; some three seconds on two busy cores.
    )


def _environment(server: RabbitMQ) -> dict[str, str]:
    folder = server.folder
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": str(folder),  # Where Erlang makes the node's secret.
        "ERL_EPMD_ADDRESS": HOST,
        "ERL_EPMD_PORT": str(server.epmd_port),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_DIST_PORT": str(server.distribution_port),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # Its schedulers would spin a while before they sleep: two cores have other work.
        "RABBITMQ_SCHEDULER_BUSY_WAIT_THRESHOLD": "none",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        "RUNNING_UNDER_SYSTEMD": "true",  # The node itself, without a shell that watches over it.
    }
