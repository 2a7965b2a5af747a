"""A gateway for whoever must listen beyond loopback: nginx before Triton, with TLS, sign-in and limits.

Triton knows neither sign-in nor limits, and its APIs that change the server lie beside those that ask it. The
gateway lets health, metadata and inference through, for callers with a client certificate or a key.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
from pathlib import Path
from typing import Any

import jinja2

from infmap_kit.errors import ServerError
from infmap_kit.model.files import write_bytes, writing_to
from infmap_kit.parts.contract import ENSEMBLE

_TEMPLATES = Path(__file__).with_name("templates")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?")
_CALLER = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.@ ]{0,62}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9.]+):([0-9]{1,5})")
# What ends or opens something in nginx' configuration.
_UNQUOTABLE = re.compile(r'[\x00-\x1f"\\$;{}]')
_KEY_LINE = re.compile(r'"Bearer (?P<key>\S+)" "(?P<name>[^"]+)";')

_METHODS = (
    *("ServerLive", "ServerReady", "ServerMetadata"),
    *("ModelReady", "ModelMetadata", "ModelConfig", "ModelInfer"),
)
"""Methods of Triton's gRPC service that pass; ``ModelConfig`` is read-only, and says which model answers."""

# HTTP's status to a name, and the name to gRPC's status and sentence.
_ERRORS = {
    "400 405 415 421": "refused",
    "401": "unknown",
    "403 495 496": "forbidden",
    "404": "unimplemented",
    "413": "large",
    "429": "busy",
    "408 504": "slow",
    "500 502 503": "unavailable",
}
_GRPC_ANSWERS = {
    "refused": (3, "refused at the gateway: not a request for this server"),
    "unknown": (16, "refused at the gateway: no client certificate, and no key that is known"),
    "forbidden": (7, "refused at the gateway: this certificate or origin may not ask"),
    "unimplemented": (12, "refused at the gateway: only health, metadata and inference pass"),
    "large": (8, "refused at the gateway: the request is too large"),
    "busy": (8, "refused at the gateway: too many requests or connections"),
    "slow": (4, "the server behind the gateway did not answer in time"),
    "unavailable": (14, "no server answers behind the gateway"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """Options of a gateway; it needs a certificate authority of callers, or callers with keys, or both.

    Parameters
    ----------
    names
        The gateway's own names or addresses, as callers write them; requests for others are refused.
    certificate, certificate_key
        PEM files of the gateway itself, at their places on its host.
    client_ca
        PEM file of the authority that signs callers' certificates.
    crl
        PEM file of certificates that the authority has revoked.
    allowed
        Common names of the certificates that may ask; without any, all that the authority signed.
    key_callers
        Callers that get a key.
    listen
        Address and port to listen on.
    grpc_upstream, http_upstream
        Triton's endpoints, as ``host:port``; without the latter, HTTP is refused.
    body_mib
        Size of a request, at most.
    requests_per_second, connections
        Largest numbers for each caller. The first second admits twice as many requests.
    timeout_s
        Seconds until the server must have answered.
    modules
        Folder of nginx' dynamic modules; HTTP needs ``ngx_http_js_module.so``.
    """

    names: tuple[str, ...]
    certificate: Path
    certificate_key: Path
    client_ca: Path | None = None
    crl: Path | None = None
    allowed: tuple[str, ...] = ()
    key_callers: tuple[str, ...] = ()
    listen: str = "0.0.0.0:8443"  # the gateway is there to be reached
    grpc_upstream: str = "127.0.0.1:8001"
    http_upstream: str | None = None
    body_mib: int = 32
    requests_per_second: int = 50
    connections: int = 32
    timeout_s: int = 60
    modules: Path = Path("/usr/share/nginx/modules")

    def __post_init__(self) -> None:
        if self.client_ca is None and not self.key_callers:
            raise ServerError(
                "a gateway must know its callers: give --client-ca, or --key NAME for each, or both"
            )
        if self.client_ca is None and (self.allowed or self.crl is not None):
            raise ServerError(
                "--allow and --crl speak of client certificates: give --client-ca too"
            )
        if not self.names:
            raise ServerError("expected the names that callers use for the gateway: give --name")
        for name in self.names:
            _check("a host name or address", _HOST, name)
        for name in (*self.allowed, *self.key_callers):
            _check("a caller's name of letters, digits, spaces and -_.@", _CALLER, name)
        upstreams = (self.grpc_upstream, *filter(None, [self.http_upstream]))
        for address in (self.listen, *upstreams):
            _check("an address such as 127.0.0.1:8001", _ADDRESS, address)
            if not 1 <= int(address.rpartition(":")[2]) <= 65535:
                raise ServerError(f"expected a port of 1 to 65535, found {address!r}")
        for path in self._paths():
            if _UNQUOTABLE.search(str(path)):
                raise ServerError(f"nginx cannot be told a path like {str(path)!r}: rename it")
        for what, value in (
            ("MiB of a request", self.body_mib),
            ("requests a second", self.requests_per_second),
            ("connections", self.connections),
            ("seconds", self.timeout_s),
        ):
            if not 1 <= value <= 10_000:
                raise ServerError(f"expected 1 to 10000 {what}, found {value}")

    def _paths(self) -> list[Path]:
        paths = (self.certificate, self.certificate_key, self.client_ca, self.crl, self.modules)
        return [path for path in paths if path is not None]


def _check(expected: str, pattern: re.Pattern[str], found: str) -> None:
    if not pattern.fullmatch(found):
        raise ServerError(f"expected {expected}, found {found!r}")


def write_gateway(folder: Path, options: GatewayOptions) -> dict[str, str]:
    """Write nginx' configuration, and keys for callers that have none yet.

    Parameters
    ----------
    folder
        Folder that nginx gets as its prefix; ``callers.conf`` in it is added to, never shortened.
    options
        Settings of the gateway.

    Returns
    -------
    dict
        Caller to key, of the keys that were made now; nobody can read them again but in ``callers.conf``.

    Raises
    ------
    ServerError
        When the folder cannot be written, or its ``callers.conf`` is not ours.
    """
    callers = folder / "callers.conf"
    known = _read_callers(callers)
    with writing_to(folder, ServerError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {
            name: secrets.token_urlsafe(32)
            for name in dict.fromkeys(options.key_callers)
            if name not in known.values()
        }
        known |= {key: name for name, key in made.items()}
        lines = [f'"Bearer {key}" "{name}";\n' for key, name in known.items()]
        _write_secret(callers, "".join(lines))
        write_bytes(folder / "nginx.conf", configuration(options).encode())
        if options.http_upstream is not None:
            write_bytes(folder / "gateway.js", (_TEMPLATES / "gateway.js").read_bytes())
    return made


def configuration(options: GatewayOptions) -> str:
    """The main configuration file for nginx."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=False,  # noqa: S701  # not HTML; what comes in was checked
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values: dict[str, Any] = {
        **dataclasses.asdict(options),
        "http": options.http_upstream is not None,
        "burst": options.requests_per_second,
        "model": ENSEMBLE.name,
        "methods": _METHODS,
        "errors": _ERRORS,
        "grpc_answers": _GRPC_ANSWERS,
    }
    return environment.get_template("nginx.conf.jinja").render(values)


def _read_callers(path: Path) -> dict[str, str]:
    """Key to caller, of a file that was written before."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError(f"cannot read {path}: {error}") from error
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (match := _KEY_LINE.fullmatch(line.strip())) is None:
            raise ServerError(f'{path}:{number}: expected a line like "Bearer KEY" "caller";')
        found[match["key"]] = match["name"]
    return found


def _write_secret(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_text(text, "utf-8")
    beside.replace(path)
