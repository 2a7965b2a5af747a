#!/usr/bin/env python
"""Describe what infmap-kit brings along: a CycloneDX bill of materials, and the licences of all of it.

Every package that infmap-kit or one of its extras asks for, as it is installed here, without what only its
developers need; and the Triton server for CPUs that `infmap-kit runtime` brings. CycloneDX' own tool reads the
environment; licences are as the packages declare them, with the texts that they carry.

Example: ``.venv/bin/python scripts/sbom.py --tool .venv/sbom-tool/bin/python --output dist``
"""

from __future__ import annotations

import argparse
import base64
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infmap_kit import __version__
from infmap_kit.triton.server.runtime import TRITON_VERSION, WHEEL_REQUIREMENT, WHEEL_SHA256

ROOT = Path(__file__).resolve().parents[1]
DEVELOPMENT = {"dev", "docs"}
"""Extras for whoever works on the project: no host installs them."""
_VALIDATE = (
    "import sys; from cyclonedx.schema import SchemaVersion; "
    "from cyclonedx.validation.json import JsonStrictValidator; "
    "fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()); "
    "sys.exit(str(fault) if fault else 0)"
)


def main() -> None:
    """Write ``infmap_kit-VERSION.cdx.json`` and ``THIRD-PARTY-LICENSES.txt``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", type=Path, required=True, help="Python that has cyclonedx-bom.")
    parser.add_argument("--output", type=Path, required=True, help="Folder to write to.")
    options = parser.parse_args()
    document = described(options.tool)
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    subprocess.run([options.tool, "-c", _VALIDATE], input=text, text=True, check=True)  # noqa: S603  # a tool that the caller names
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"infmap_kit-{__version__}.cdx.json").write_text(text, "utf-8")
    (options.output / "THIRD-PARTY-LICENSES.txt").write_text(licences(document), "utf-8")
    print(
        f"{len(document['components'])} components and their licences are described in {options.output}"
    )


def shipped(distribution: str = "infmap-kit") -> set[str]:
    """Names of all that a distribution asks for, and that in turn, as far as it is installed."""
    found: set[str] = set()
    extras = set(importlib.metadata.metadata(distribution).get_all("Provides-Extra") or ())
    waiting = [(distribution, extra) for extra in {"", *extras} - DEVELOPMENT]
    seen = set(waiting)
    while waiting:
        name, extra = waiting.pop()
        for line in importlib.metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            try:
                importlib.metadata.distribution(wanted.name)
            except importlib.metadata.PackageNotFoundError:
                # For another system, or an extra for hosts with a GPU.
                continue
            found.add(canonicalize_name(wanted.name))
            more = [(canonicalize_name(wanted.name), one) for one in ("", *wanted.extras)]
            waiting += [pair for pair in more if pair not in seen]
            seen.update(more)
    return found - {canonicalize_name(distribution)}


def described(tool: Path) -> dict[str, Any]:
    """The bill of materials: CycloneDX 1.6."""
    command = [tool, "-m", "cyclonedx_py", "environment", "--gather-license-texts"]
    command += ["--output-reproducible", "--pyproject", ROOT / "pyproject.toml", sys.executable]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603  # as above
    document: dict[str, Any] = json.loads(done.stdout)
    names = shipped()
    kept = [part for part in document["components"] if canonicalize_name(part["name"]) in names]
    document["components"] = [*kept, _triton()]
    root = document["metadata"]["component"]
    root["version"] = __version__
    references = {root["bom-ref"], *(part["bom-ref"] for part in document["components"])}
    document["dependencies"] = [
        {**entry, "dependsOn": [ref for ref in entry.get("dependsOn", ()) if ref in references]}
        for entry in document["dependencies"]
        if entry["ref"] in references
    ]
    return document


def _triton() -> dict[str, Any]:
    """The server for CPUs, which comes inside a wheel whose own package is left alone."""
    wheel, _, version = WHEEL_REQUIREMENT.partition("==")
    return {
        "bom-ref": f"tritonserver=={TRITON_VERSION}",
        "type": "application",
        "name": "tritonserver",
        "version": TRITON_VERSION,
        "description": "Triton Inference Server 24.10 for CPUs, as `infmap-kit runtime` brings it",
        "hashes": [{"alg": "SHA-256", "content": WHEEL_SHA256}],
        "licenses": [{"license": {"id": "BSD-3-Clause", "acknowledgement": "declared"}}],
        "purl": f"pkg:pypi/{wheel}@{version}",
    }


def licences(document: dict[str, Any]) -> str:
    """The licences of all components as a text to read."""
    sections = ["Licences of what infmap-kit brings along, as each package declares them.\n"]
    for part in sorted(document["components"], key=lambda one: one["name"].lower()):
        stated, texts = [], []
        for entry in part.get("licenses", ()):
            licence = entry.get("license", {})
            name = entry.get("expression") or licence.get("id") or licence.get("name") or ""
            # What the tool calls a text that has no name.
            stated.append("" if name.startswith("declared license") else name)
            if text := licence.get("text"):
                content = text["content"]
                if text.get("encoding") == "base64":
                    content = base64.b64decode(content).decode("utf-8", "replace")
                texts.append(content.strip())
        line = (
            "; ".join(dict.fromkeys(filter(None, stated)))
            or "by the text below" * bool(texts)
            or "not declared"
        )
        sections.append(
            "\n\n".join([f"{'=' * 100}\n{part['name']} {part['version']}: {line}", *texts])
        )
    return "\n".join(sections) + "\n"


if __name__ == "__main__":
    main()
