"""Units for systemd: the model server, the node, and a daily look at the host, each confined to its job."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from pathlib import Path

import jinja2

from infmap_kit.errors import ServerError
from infmap_kit.model.files import write_bytes, writing_to

SERVICES = ("infmap-serve.service", "infmap-node.service", "infmap-doctor.service")
FILES = (*SERVICES, "infmap-doctor.timer", "infmap-kit.sysusers")
"""The names of the files that are written."""

_TEMPLATES = Path(__file__).with_name("templates") / "systemd"
# systemd reads spaces, quotes, % and $ of these lines as something else.
_PLAIN = re.compile(r"/[A-Za-z0-9_.+@/-]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitOptions:
    """The paths on the host, and the users of the units.

    Parameters
    ----------
    program
        The command ``infmap-kit``, as an absolute path.
    repository
        The repository to serve.
    settings
        Folder of ``node.toml``, of ``serve.env`` and ``node.env``, and of ``secrets/``.
    state
        Name of the node's folder below ``/var/lib``.
    server_user, node_user
        Users of server and node: two, since each one's shared memory is removed when its service ends, and the
        server has no business with the spool.
    low_port
        Whether the node listens on a port below 1024, such as 104.
    addresses
        Addresses and networks that the node may talk with, beside loopback; empty for all.
    """

    program: Path = Path("/opt/infmap-kit/current/bin/infmap-kit")
    repository: Path = Path("/var/lib/infmap-kit/model_repository")
    settings: Path = Path("/etc/infmap-kit")
    state: str = "infmap-node"
    server_user: str = "infmap-serve"
    node_user: str = "infmap-node"
    low_port: bool = False
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for path in (self.program, self.repository, self.settings):
            if not _PLAIN.fullmatch(str(path)):
                raise ServerError(
                    f"expected an absolute path of letters, digits and ._+@- in a unit, found {path}: put it "
                    "where systemd can name it"
                )
        for user in (self.server_user, self.node_user, self.state):
            if not _USER.fullmatch(user):
                raise ServerError(f"expected a name such as infmap-node, found {user!r}")
        if self.server_user == self.node_user:
            raise ServerError(
                f"expected two users for server and node, found {self.node_user} twice"
            )
        for address in self.addresses:
            try:
                ipaddress.ip_network(address)
            except ValueError as error:
                raise ServerError(
                    f"expected an address or network such as 10.1.0.0/16, found {address!r}"
                ) from error


def write_units(folder: Path, options: UnitOptions) -> list[Path]:
    """Write :data:`FILES` into a folder, each beside and renamed.

    Raises
    ------
    InfmapError
        When the folder cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  # no page; what goes in was checked
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values = dataclasses.asdict(options)
    if options.addresses:
        values["addresses"] = ("localhost", *options.addresses)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            text = environment.get_template(f"{name}.jinja").render(values)
            write_bytes(folder / name, text.encode())
    return [folder / name for name in FILES]
