"""A whole box in containers: model server, node, Prometheus and Grafana, and a PACS to try them with.

::

    compose.yaml        the services, each confined
    node.toml           the node's settings, written by whoever calls this
    spool/              the node's radiographs on the way (0700, its user's own)
    prometheus.yml      what Prometheus asks
    alerts/             rules of alerts for Prometheus, such as alerts.yml
    grafana/            its data source and the dashboard
    secrets/            Grafana's password
    orthanc.json        the test PACS
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
from pathlib import Path
from typing import Any

import infmap_kit
from infmap_kit.errors import ServerError
from infmap_kit.host.confinement import Confinement, Mount, PublishedPort
from infmap_kit.host.container import GRPC_PORT, METRICS_PORT, MODELS, ContainerOptions
from infmap_kit.host.dashboard import dashboard
from infmap_kit.host.deploy import compose_document, write_yaml
from infmap_kit.model.files import write_bytes, write_json, writing_to
from infmap_kit.targets.registry import find
from infmap_kit.triton.repository import check_repository
from infmap_kit.triton.server.options import ServerOptions

IMAGE = f"infmap-kit:{infmap_kit.__version__}"
"""Name of the image that a kit's Containerfile builds."""

PROMETHEUS = "prom/prometheus:v3.5.0"
GRAFANA = "grafana/grafana:12.1.1"
ORTHANC = "jodogne/orthanc-plugins:1.11.0"
"""Images of others. Orthanc's tag was read in its makers' documents, the other two were not looked up: no
machine that this was made on could fetch one."""

EVERYWHERE = "0.0.0.0"  # noqa: S104  # of a container's own networks
DICOM_PORT = 11112
SPOOL = Path("/var/lib/infmap-node")
MODEL_URL = f"triton:{GRPC_PORT}"
STATUS = f'\n# For Prometheus, inside; compose publishes it on loopback.\n[status]\nhost = "{EVERYWHERE}"\n'
"""Lines that a node's file needs in a box, added to its draft."""

_TEMPLATES = Path(__file__).with_name("templates") / "box"
_PYTHON = "/opt/infmap-kit/bin/python"
_ALERTS = "Prometheus reads every `*.yml` here when it starts, such as `alerts.yml`.\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxOptions:
    """The addresses on which a box listens, and the images that it is built from.

    Parameters
    ----------
    container
        User and GPUs of the containers.
    host
        Address of the machine that the node's DICOM port is published on.
    port
        Port of the node on the machine.
    grafana_port
        Port of 127.0.0.1 for Grafana.
    kit
        Folder of an unpacked kit, of which compose builds the image; without it the image must be there.
    """

    container: ContainerOptions
    host: str = EVERYWHERE
    port: int = DICOM_PORT
    grafana_port: int = 3000
    kit: Path | None = None

    def __post_init__(self) -> None:
        if self.kit is not None and not (self.kit / "Containerfile").is_file():
            raise ServerError(
                f"expected the folder of an unpacked kit, found no Containerfile in {self.kit}"
            )


def write_box(folder: Path, repository: Path, options: BoxOptions) -> None:
    """Write everything but the node's file; what is there of spool, alerts and secrets stays.

    Raises
    ------
    SpecError
        When a file of the repository is not what was exported.
    ServerError, InfmapError
        When the options are no good, or the folder cannot be written.
    """
    place = folder.absolute()
    document = box_document(place, repository, options)
    grafana = place / "grafana"
    with writing_to(folder):
        for below in ("alerts", "secrets", "grafana/dashboards", "grafana/provisioning"):
            (place / below).mkdir(parents=True, exist_ok=True)
        _make_spool(place / "spool", options.container.run_as())
        (place / "secrets").chmod(0o700)
        if not (place / "secrets" / "grafana").exists():
            # Read by Grafana's own user; the folder keeps others of the machine out.
            write_bytes(place / "secrets" / "grafana", secrets.token_urlsafe(24).encode())
        for name in ("prometheus.yml", "orthanc.json"):
            write_bytes(place / name, (_TEMPLATES / name).read_bytes())
        for name in ("datasources", "dashboards"):
            (grafana / "provisioning" / name).mkdir(exist_ok=True)
            shutil.copyfile(
                _TEMPLATES / f"{name}.yaml", grafana / "provisioning" / name / f"{name}.yaml"
            )
        write_json(grafana / "dashboards" / "infmap-kit.json", dashboard())
        write_bytes(place / "alerts" / "README.md", _ALERTS.encode())
        write_yaml(place / "compose.yaml", document)


def box_document(place: Path, repository: Path, options: BoxOptions) -> dict[str, Any]:
    """The compose file of a box whose files lie at an absolute path."""
    return {
        "name": "infmap-kit",
        "services": {
            "triton": _triton(repository, options),
            "node": _node(place, options),
            "prometheus": _prometheus(place),
            "grafana": _grafana(place, options),
            "orthanc": _orthanc(place),
        },
        # Nothing in it reaches another network, or is reached from one.
        "networks": {"inside": {"internal": True}, "outside": {}},
        "volumes": {"prometheus": {}, "grafana": {}, "orthanc": {}},
        "secrets": {"grafana": {"file": str(place / "secrets" / "grafana")}},
    }


def _triton(repository: Path, options: BoxOptions) -> dict[str, Any]:
    """Our image for a repository of the server for CPUs, NVIDIA's for the others; nothing is published."""
    manifest = check_repository(repository)
    if find(manifest.target).in_container:
        service: dict[str, Any] = compose_document(repository, ServerOptions(), options.container)[
            "services"
        ]["triton"]
        return {**service, "ports": [], "networks": ["inside"]}
    # A copy of what is served lies in /tmp.
    confined = Confinement(
        user=options.container.run_as(),
        shm_mib=options.container.shm_mib,
        tmp_mib=1024,
        mounts=(Mount(source=repository.absolute(), target=MODELS),),
    )
    return {
        **_ours(options),
        "command": ["serve", "--repository", MODELS, "--host", EVERYWHERE],
        **confined.compose(),
        "healthcheck": _asked(f"http://127.0.0.1:{METRICS_PORT}/metrics"),
        "restart": "unless-stopped",
        "networks": ["inside"],
    }


def _node(place: Path, options: BoxOptions) -> dict[str, Any]:
    settings = "/etc/infmap-kit/node.toml"
    confined = Confinement(
        user=options.container.run_as(),
        ports=(
            PublishedPort(host=options.host, outer=options.port, inner=DICOM_PORT),
            PublishedPort(host="127.0.0.1", outer=8088, inner=8088),
        ),
        mounts=(
            Mount(source=place / "node.toml", target=settings),
            Mount(source=place / "spool", target=str(SPOOL), read_only=False),
        ),
    )
    return {
        **_ours(options),
        "command": ["node", "run", "--config", settings],
        **confined.compose(),
        "healthcheck": _asked("http://127.0.0.1:8088/live"),
        "restart": "unless-stopped",
        "networks": ["inside", "outside"],
    }


def _prometheus(place: Path) -> dict[str, Any]:
    return {
        "image": PROMETHEUS,
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            "--storage.tsdb.retention.time=30d",
        ],
        **_theirs(),
        "volumes": [
            _bound(place / "prometheus.yml", "/etc/prometheus/prometheus.yml"),
            _bound(place / "alerts", "/etc/prometheus/alerts"),
            _kept("prometheus", "/prometheus"),
        ],
        "networks": ["inside"],
    }


def _grafana(place: Path, options: BoxOptions) -> dict[str, Any]:
    return {
        "image": GRAFANA,
        **_theirs(),
        "environment": {
            "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
            "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
            "GF_ANALYTICS_REPORTING_ENABLED": "false",
            "GF_NEWS_NEWS_FEED_ENABLED": "false",
            "GF_PLUGINS_PREINSTALL_DISABLED": "true",
            "GF_SECURITY_ADMIN_PASSWORD__FILE": "/run/secrets/grafana",
            "GF_SECURITY_DISABLE_GRAVATAR": "true",
        },
        "ports": [f"127.0.0.1:{options.grafana_port}:3000"],
        "secrets": ["grafana"],
        "volumes": [
            _bound(place / "grafana" / "provisioning", "/etc/grafana/provisioning"),
            _bound(place / "grafana" / "dashboards", "/etc/grafana/dashboards"),
            _kept("grafana", "/var/lib/grafana"),
        ],
        "networks": ["inside", "outside"],
    }


def _orthanc(place: Path) -> dict[str, Any]:
    """A PACS to try the box with, which starts when it is asked for: ``--profile test-pacs``."""
    return {
        "image": ORTHANC,
        "profiles": ["test-pacs"],
        **_theirs(),
        "volumes": [
            _bound(place / "orthanc.json", "/etc/orthanc/orthanc.json"),
            _kept("orthanc", "/var/lib/orthanc/db"),
        ],
        "ports": ["127.0.0.1:8042:8042"],
        "networks": ["inside", "outside"],
    }


def _ours(options: BoxOptions) -> dict[str, Any]:
    build = {} if options.kit is None else {"build": _build_of(options.kit)}
    return {"image": options.container.image or IMAGE, **build}


def _build_of(kit: Path) -> dict[str, str]:
    return {"context": str(kit.absolute()), "dockerfile": "Containerfile"}


def _theirs() -> dict[str, Any]:
    """The confinement of images of others, which run as users of their own."""
    usual = Confinement().compose()
    names = ("read_only", "cap_drop", "security_opt", "pids_limit", "tmpfs")
    return {**{name: usual[name] for name in names}, "restart": "unless-stopped"}


def _asked(url: str) -> dict[str, Any]:
    """A health check by the Python of our image, which has no curl."""
    code = f"import urllib.request as r; r.urlopen('{url}', timeout=4)"
    return {
        "test": ["CMD", _PYTHON, "-c", code],
        "interval": "10s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "120s",
    }


def _bound(source: Path, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": str(source), "target": target, "read_only": True}


def _kept(name: str, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": name, "target": target}


def _make_spool(folder: Path, user: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    owner, _, group = user.partition(":")
    if not os.getuid() and owner.isdecimal() and group.isdecimal():
        os.chown(folder, int(owner), int(group))
