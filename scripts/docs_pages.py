"""MkDocs' hook: the pages of the site that are made when it is built, and the documents outside docs/.

Commands, tensors and errors are read from the code, so that they say what is there. Documents that lie beside
what they describe stay there; they become pages below ``project/``, and links between all of them are made to
fit.
"""

from __future__ import annotations

import ast
import html
import itertools
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from docs_configuration import configuration_page
from typer.cli import get_docs_for_click

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS, PROJECT = "docs", "project"
DOCUMENTS = (
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "benchmarks/results/table5/table5.md",
    "scripts/gpu/README.md",
    "toolkit/infmap_kit/paper/README.md",
    "training/EXPERIMENTS.md",
    "training/README.md",
    "training/demo_lungs/MODEL_CARD.md",
    "training/demo_model/MODEL_CARD.md",
)
"""Documents outside docs/ that are pages, by their paths in the repository."""

_TENSORS = """\
These are the tensors of the ensemble `infmap`, for a model with every part. N is the batch; H and W are the
canvas's height and width; 224 is the size of the paper's networks, and other networks may have another. The
pages [serve](../serve.md) and [severity](../severity.md) explain their meaning."""

_ERRORS = """\
A command that fails ends with one line on stderr. It says what was found, what was expected, and the fix.
[Every message](messages.md) is listed and can be searched."""

_REJECTIONS = """\
These are the values of `code` of an `InputRejected`, in Python and in the JSON of `infmap-kit infer`. The
[input contract](../dicom.md#the-input-contract) says when each is given."""

_MESSAGES = """\
The messages are listed as they are in the code. Angle brackets mark words that are filled in. Search this page
for the words that you were shown: the message ends with the fix."""

_LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s#]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"^( *)<!-- not run: (.+) -->$", re.MULTILINE)
"""The mark above a block that no test runs; see ``tests/pages/blocks.py``."""


_FOUND_FIRST = ("train.md", "releases.md", "dicom.md", "operations.md")
"""Pages with a task that whoever is new asks for in words that many other pages have too."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the documents outside docs/."""
    from mkdocs.structure.files import File

    made = {f"reference/{name}.md": text for name, text in reference_pages().items()}
    kept = {f"{PROJECT}/{name}": (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
    for uri, text in {**made, **kept}.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make the links of a document fit the site; a link to a file that is no page becomes its name."""
    del config
    here = page.file.src_uri
    markdown = _NOT_RUN.sub(r"\1<small>Not run by the tests: \2.</small>\n", markdown)
    if here.startswith((f"{PROJECT}/", "forms/")):
        # Whoever searches looks for a page on the matter, and not for the changelog's word of it.
        page.meta.setdefault("search", {"boost": 0.3})
    elif here in _FOUND_FIRST:
        page.meta.setdefault("search", {"boost": 2})
    pages = {repository_path(file.src_uri): file.src_uri for file in files}

    def fitted(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return link[0]
        folder = posixpath.dirname(repository_path(here))
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in pages:
            return f"{text}({posixpath.relpath(pages[path], posixpath.dirname(here))}{anchor})"
        # What is not there at all is left for MkDocs to refuse.
        return text.strip("[]") if (ROOT / path).exists() else link[0]

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(fitted, part) for part in parts)


def repository_path(uri: str) -> str:
    """Where a page's source lies in the repository."""
    return uri.removeprefix(f"{PROJECT}/") if uri.startswith(f"{PROJECT}/") else f"{DOCS}/{uri}"


def reference_pages() -> dict[str, str]:
    """The pages that are made of the code, by name."""
    return {**dict(command_pages()), "tensors": tensors_page(), "errors": errors_page(),
            "messages": messages_page(), "api": api_page(), "configuration": configuration_page()}  # fmt: skip


def api_page() -> str:
    """Every public name, with its docstring by mkdocstrings."""
    import infmap_kit
    import infmap_train

    lines = [
        "# Python API",
        "",
        "What is promised of these names: [the Python API](../python-api.md#what-is-promised).",
    ]
    for package in (infmap_kit, infmap_train):
        lines += ["", f"## {package.__name__}"]
        names = [name for name in package.__all__ if not name.startswith("__")]
        lines += [f"\n::: {package.__name__}.{name}" for name in sorted(names, key=str.lower)]
    return "\n".join(lines) + "\n"


def command_pages() -> Iterator[tuple[str, str]]:
    """A page for each command line: every command with its options and its example."""
    import infmap_annotate.cli
    import infmap_kit.cli
    import infmap_train.cli

    for app in (infmap_kit.cli.app, infmap_train.cli.app, infmap_annotate.cli.app):
        command = typer.main.get_command(app)
        name = str(app.info.name)
        # As in a terminal without an end.
        context = typer.Context(command, info_name=name, max_content_width=10_000)
        text = get_docs_for_click(obj=command, ctx=context, name=name)
        yield name, _plain(text)


def _plain(text: str) -> str:
    """Angle brackets of metavars as text; of a sentence that was cut, nothing: it stands whole further down."""
    text = re.sub(r"^(\* `[\w-]+`): .*\.\.\.$", r"\1", text, flags=re.MULTILINE)
    return re.sub(r"^(\*.*)$", lambda line: line[1].replace("<", "&lt;"), text, flags=re.MULTILINE)


def tensors_page() -> str:
    """The tensors of a model with every part."""
    from infmap_kit.parts.contract import Contract
    from infmap_kit.parts.registry import all_parts, optional_parts

    contract = Contract(tuple(part.name for part in optional_parts()), 224, summary=True)
    lines = [
        "# Tensors",
        "",
        _TENSORS,
        "",
        "| tensor | way | type | shape |",
        "|---|---|---|---|",
    ]
    ensemble = contract.ensemble
    for way, tensors in (("in", ensemble.inputs), ("out", ensemble.outputs)):
        for tensor in tensors:
            sizes = ["N", *(str(size) for size in tensor.shape)]
            if sizes[1:3] == ["-1", "-1"]:
                sizes[1:3] = ["H", "W"]
            lines.append(f"| `{tensor.name}` | {way} | {tensor.dtype} | [{', '.join(sizes)}] |")
    lines += [
        "",
        "## Graphs behind it",
        "",
        "| graph | takes | gives | of the part |",
        "|---|---|---|---|",
    ]
    owners = {part.graph.name: part.name for part in all_parts()}
    for graph in contract.graphs:
        takes, gives = (
            ", ".join(f"`{t.name}`" for t in ts) for ts in (graph.inputs, graph.outputs)
        )
        lines.append(f"| `{graph.name}` | {takes} | {gives} | {owners.get(graph.name, 'all')} |")
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Exit codes, the error tree, and the codes of rejections."""
    from infmap_kit import errors
    from infmap_kit.imaging.radiograph import Reason

    kinds = [kind for kind in vars(errors).values()
             if isinstance(kind, type) and issubclass(kind, errors.InfmapError)]  # fmt: skip
    rows = {
        0: ["| 0 | | done |"],
        2: ["| 2 | | the command line could not be understood |"],
    }
    for kind in kinds:
        about = (kind.__doc__ or "").partition("\n")[0]
        row = f"| {kind.exit_code} | `{kind.__name__}` | {about} |"
        rows.setdefault(kind.exit_code, []).append(row)
    lines = [
        "# Exit codes and errors",
        "",
        "| exit code | error | when |",
        "|---|---|---|",
        *itertools.chain.from_iterable(rows[code] for code in sorted(rows)),
        "",
        _ERRORS,
        "",
        "## Codes of rejections",
        "",
        _REJECTIONS,
        "",
        ", ".join(f"`{reason}`" for reason in Reason),
    ]
    return "\n".join(lines) + "\n"


def messages_page() -> str:
    """Every message that an error can have, as it stands where it is raised."""
    found: dict[str, set[str]] = defaultdict(set)
    for folder in (ROOT / "toolkit", ROOT / "training"):
        for path in sorted(folder.rglob("*.py")):
            for kind, message in raised_messages(ast.parse(path.read_text(encoding="utf-8"))):
                found[kind].add(message)
    lines = [
        "# Every error message",
        "",
        _MESSAGES,
    ]
    for kind in sorted(found):
        lines += ["", f"## {kind}", "", *(f"- {_escaped(text)}" for text in sorted(found[kind]))]
    return "\n".join(lines) + "\n"


def raised_messages(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Class and message of every error of ours that a module raises with a text."""
    from infmap_kit import errors

    for node in ast.walk(tree):
        call = node.exc if isinstance(node, ast.Raise) else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        kind = getattr(errors, call.func.id, None)
        if not isinstance(kind, type) or not issubclass(kind, errors.InfmapError):
            continue
        texts = [text for text in map(_text, call.args) if " " in text]
        yield from ((call.func.id, text) for text in texts)


def _text(node: ast.expr) -> str:
    """The text of a literal, with what is filled in by its name; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _text(part) if isinstance(part, ast.Constant) else f"<{_name(part)}>"
            for part in node.values
        )
    return ""


def _name(part: ast.expr) -> str:
    """A word for what is filled in: the last name of a plain expression, else three dots."""
    value = part.value if isinstance(part, ast.FormattedValue) else part
    if isinstance(value, ast.Name):
        return value.id
    return value.attr if isinstance(value, ast.Attribute) else "..."


def _escaped(text: str) -> str:
    return html.escape(re.sub(r"([\\`*_{}\[\]#|])", r"\\\1", " ".join(text.split())), quote=False)
