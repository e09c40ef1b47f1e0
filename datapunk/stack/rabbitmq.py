"""RabbitMQ, from the system's package manager, as a node of our own: never the system's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from datapunk.stack.amqp import ask_rabbitmq, ask_rabbitmq_management
from datapunk.stack.part import Command, Part, Port
from datapunk.stack.programs import find_program, missing

NODE_NAME = "datapunk@localhost"

PLUGINS = (
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_management",
    "rabbitmq_prometheus",
    "rabbitmq_stream",
    "rabbitmq_stream_management",
)

# The plain scripts. Debian's /usr/sbin/rabbitmq-server switches to the system node's user and data instead.
SCRIPT_FOLDERS = (Path("/usr/lib/rabbitmq/bin"),)

# Where Debian unpacks RabbitMQ: the version is in the folder's name.
LIBRARY_FOLDER = Path("/usr/lib/rabbitmq/lib")

# The broker stops taking messages when the disk has less room than this.
DISK_FREE_LIMIT = "512MB"

# As before RabbitMQ 4, whose default is 16 MiB: an event in Avro JSON may be larger than the command that led to it.
MAX_MESSAGE_BYTES = 128 * 1024 * 1024

# Distribution on loopback only, and no busy-waiting schedulers: a laptop runs all the other parts, too.
ERLANG_ARGUMENTS = "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none"


@dataclass(frozen=True, slots=True)
class RabbitMQPorts:
    """The ports which no setting names: any free ones do, and `endpoints.env` tells which."""

    stream: int
    metrics: int
    distribution: int
    epmd: int


class RabbitMQ(Part):
    """RabbitMQ 3.10 or later, with the management, Prometheus, stream and consistent-hash plugins.

    Args:
        url: where AMQP 0-9-1 will be served: the port counts.
        management_url: where the HTTP API will be served: the port counts.
        ports: the further ports.
        home: the data folder.
    """

    name = "rabbitmq"
    title = "RabbitMQ"

    def __init__(
        self, home: Path, url: str, management_url: str, further: RabbitMQPorts, *, throwaway: bool = False
    ) -> None:
        super().__init__(home, throwaway=throwaway)
        self.url = url
        self.management_url = management_url
        self.further = further

    @property
    def ports(self) -> tuple[Port, ...]:
        """AMQP, the HTTP API, streams, metrics, and Erlang's own two."""
        return (
            Port(urlsplit(self.url).port or 5672, "RabbitMQ", "DATAPUNK_BROKER_URL"),
            Port(
                urlsplit(self.management_url).port or 15672,
                "RabbitMQ's HTTP API",
                "DATAPUNK_BROKER_MANAGEMENT_URL",
            ),
            Port(self.further.stream, "RabbitMQ's streams", ""),
            Port(self.further.metrics, "RabbitMQ's metrics", ""),
            Port(self.further.distribution, "Erlang distribution", ""),
            Port(self.further.epmd, "Erlang port mapper", ""),
        )

    @property
    def where(self) -> str:
        """AMQP's URL, and the management UI's."""
        return f"{self.url}\nUI {self.management_url}"

    @property
    def endpoints(self) -> Mapping[str, str]:
        """All four services' addresses."""
        return {
            "DATAPUNK_BROKER_URL": self.url,
            "DATAPUNK_BROKER_MANAGEMENT_URL": self.management_url,
            "DATAPUNK_BROKER_STREAM_URL": f"rabbitmq-stream://guest:guest@127.0.0.1:{self.further.stream}/",
            "DATAPUNK_BROKER_METRICS_URL": f"http://127.0.0.1:{self.further.metrics}/metrics",
        }

    def installed(self) -> str:
        """See `Part.installed`."""
        _program()
        for folder in sorted(LIBRARY_FOLDER.glob("rabbitmq_server-*"), reverse=True):
            return folder.name.removeprefix("rabbitmq_server-")
        return ""

    def prepare(self) -> tuple[Command, ...]:
        """Write the node's configuration; then Erlang's port mapper of our own, and the server."""
        program = _program()
        home = self.home.absolute()
        home.mkdir(parents=True, exist_ok=True)
        (home / "rabbitmq.conf").write_text(self._configuration())
        (home / "enabled_plugins").write_text(f"[{','.join(PLUGINS)}].\n")
        (home / "rabbitmq-env.conf").touch()
        environment = {
            "HOME": str(home),  # of the Erlang cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self.further.epmd),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_DIST_PORT": str(self.further.distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.ports[0].number),
            "RABBITMQ_PID_FILE": str(home / "rabbitmq.pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        }
        epmd = find_program("epmd")
        server = Command((str(program),), environment)
        if epmd is None:
            return (server,)  # not in PATH: Erlang starts the one it came with
        return (
            Command((str(epmd), "-port", str(self.further.epmd), "-address", "127.0.0.1"), environment),
            server,
        )

    def ask(self) -> str:
        """See `Part.ask`: both AMQP and the HTTP API must answer."""
        version = ask_rabbitmq(self.url)
        ask_rabbitmq_management(self.management_url)
        return version

    def _configuration(self) -> str:
        lines = {
            "listeners.tcp.1": f"127.0.0.1:{self.ports[0].number}",
            "management.tcp.ip": "127.0.0.1",
            "management.tcp.port": self.ports[1].number,
            "stream.listeners.tcp.1": f"127.0.0.1:{self.further.stream}",
            "prometheus.tcp.ip": "127.0.0.1",
            "prometheus.tcp.port": self.further.metrics,
            "loopback_users.guest": "true",
            "disk_free_limit.absolute": DISK_FREE_LIMIT,
            "max_message_size": MAX_MESSAGE_BYTES,
            "log.console": "true",
            "log.console.level": "info",
            "log.console.use_colors": "off",
            "log.file": "false",
        }
        return "".join(f"{name} = {value}\n" for name, value in lines.items())


def _program() -> Path:
    program = find_program("rabbitmq-server", also_in=SCRIPT_FOLDERS)
    if program is None:
        raise missing("RabbitMQ", debian="sudo apt-get install rabbitmq-server", macos="brew install rabbitmq")
    return program
