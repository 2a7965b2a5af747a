"""Write inferenceservice.schema.json anew from KServe's and Kubernetes' own Python packages.

`python tests/data/kserve/generate.py FOLDER`, where FOLDER holds the unpacked wheels of both (`pip download
--no-deps kserve 'kubernetes<36'`; later ones of Kubernetes are written in another form). Their model classes
are made from the projects' own OpenAPI descriptions, of which the CRD of KServe is made too. The classes are
read and not imported.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = "V1beta1InferenceService"
LEFT_OUT = {
    "V1beta1InferenceService": {"status"},
    "V1beta1InferenceServiceSpec": {"explainer", "transformer"},
    # Of a predictor's kinds, the one that we write.
    "V1beta1PredictorSpec": {
        *("huggingface", "lightgbm", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow"),
        *("triton", "xgboost", "worker_spec", "auto_scaling", "containers", "init_containers"),
        *("affinity", "topology_spread_constraints"),
    },
}
SCALARS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def main(folder: Path) -> None:
    """Write the schema beside this file."""
    definitions: dict[str, Any] = {}
    waiting = [ROOT]
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name], used = _definition(folder, name)
            waiting += used
    versions = sorted(path.name.removesuffix(".dist-info") for path in folder.glob("*.dist-info"))
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{ROOT} of {' and '.join(versions)}",
        "$ref": f"#/$defs/{ROOT}",
        "$defs": dict(sorted(definitions.items())),
    }
    target = Path(__file__).with_name("inferenceservice.schema.json")
    target.write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")


def _definition(folder: Path, name: str) -> tuple[dict[str, Any], list[str]]:
    """The schema of a class, closed, and the classes that it names."""
    path = _module(folder, name)
    if path is None:
        return {}, []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (body,) = [node.body for node in tree.body if isinstance(node, ast.ClassDef)]
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Dict)
    }  # fmt: skip
    keys = tables["attribute_map"]
    kept = {k: t for k, t in tables["openapi_types"].items() if k not in LEFT_OUT.get(name, ())}
    required = [
        found.group(1)
        for found in re.finditer(r"client_side_validation and (\w+) is None", ast.unparse(tree))
    ]
    properties = {keys[key]: _schema(kind) for key, kind in kept.items()}
    used = re.findall(r"V1\w+", " ".join(kept.values()))
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted({keys[key.removeprefix("_")] for key in required if key in kept}),
        "properties": dict(sorted(properties.items())),
    }, used


def _module(folder: Path, name: str) -> Path | None:
    """The file of a class; both packages write acronyms in their own ways."""
    for models in ("kserve/models", "kubernetes/client/models"):
        for path in (folder / models).glob("v1*.py"):
            if path.stem.replace("_", "") == name.lower():
                return path
    return None


def _schema(kind: str) -> dict[str, Any]:
    if kind.startswith("list["):
        return {"type": "array", "items": _schema(kind[5:-1])}
    if found := re.fullmatch(r"dict\(str, (.+)\)|dict\[str, (.+)\]", kind):
        return {"type": "object", "additionalProperties": _schema(found.group(1) or found.group(2))}
    if kind in SCALARS:
        return {"type": SCALARS[kind]}
    return {"$ref": f"#/$defs/{kind}"} if kind.startswith("V1") else {}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
