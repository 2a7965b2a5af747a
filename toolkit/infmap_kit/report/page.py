"""The frame of a report's page: one file, no request to anywhere, light and dark, paper and phone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b2330; --soft: #5b6675; --line: #d9dee6;
--panel: #f5f7fa;
  --ours: #1f6fb2; --paper: #b4690e; --baseline: #7a8594; --part: #2f8f6b; --warn: #a6261d;
  --c0: #1f6fb2; --c1: #b4690e; --c2: #2f8f6b; --c3: #8a4fa3; }
@media (prefers-color-scheme: dark) { :root { --ground: #12171f; --text: #e6eaf0; --soft: #9aa6b6; --line:
#2d3644;
  --panel: #1a212c; --ours: #5aa9e6; --paper: #e0a458; --baseline: #8793a3; --part: #5bc49a; --warn: #ff8a80;
  --c0: #5aa9e6; --c1: #e0a458; --c2: #5bc49a; --c3: #c39ad6; } }
@media print { :root { color-scheme: light; --ground: #fff; --text: #000; --soft: #444; --line: #bbb;
--panel: #fff;
  --ours: #1f6fb2; --paper: #b4690e; --baseline: #7a8594; --part: #2f8f6b; --warn: #a6261d;
  --c0: #1f6fb2; --c1: #b4690e; --c2: #2f8f6b; --c3: #8a4fa3; }
  section, figure, tr { break-inside: avoid; } body { max-width: none; padding: 0; font-size: 10pt; }
  * { print-color-adjust: exact; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem 1rem 3rem; background: var(--ground); color:
var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0
.4rem; } p { margin: .4rem 0; max-width: 46rem; } .soft { color: var(--soft); }
.warn { border-left: 4px solid var(--warn); background: var(--panel); padding: .5rem .8rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .7rem; margin:
1rem 0; } .tile { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding:
.6rem .8rem; } .tile b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric:
tabular-nums; } .tile span { color: var(--soft); font-size: .85rem; }
figure { margin: .8rem 0; max-width: 38rem; } figcaption { color: var(--soft); font-size: .9rem; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 12px; fill: var(--text); } svg .tick { font-size: 11px; fill: var(--soft); }
svg .value { font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .whisker { stroke: var(--text); fill: none; }
svg .curve { fill: none; stroke-width: 2; }
rect.ours { fill: var(--ours); } rect.paper { fill: var(--paper); } rect.baseline { fill: var(--baseline); }
rect.part { fill: var(--part); }
.c0 { stroke: var(--c0); fill: var(--c0); } .c1 { stroke: var(--c1); fill: var(--c1); }
.c2 { stroke: var(--c2); fill: var(--c2); } .c3 { stroke: var(--c3); fill: var(--c3); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; min-width: 100%; }
th, td { text-align: right; padding: .28rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap;
  font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; } td.words { white-space: normal; text-align: left;
min-width: 14rem; } th { color: var(--soft); font-weight: 600; }
@media (max-width: 30rem) { body { padding: .8rem .7rem 2rem; font-size: 15px; } h1 { font-size: 1.25rem; }
  .tiles { grid-template-columns: 1fr 1fr; } }
"""


# Even a slip could not make it ask anybody.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_PICTURES = "; img-src data:"


def document(title: str, subtitle: str, body: Iterable[str], *, with_pictures: bool = False) -> str:
    """A whole page; ``body`` is HTML, with pictures inside it or not, the rest is text."""
    policy = _POLICY + (_PICTURES if with_pictures else "")
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            f'<h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p>',
            *body,
            '<p class="soft">For research use, not a medical device.</p></body></html>',
            "",
        ]
    )


def paragraphs(sentences: Iterable[str], *, kind: str = "") -> str:
    """Text, a paragraph each; empty sentences are left out."""
    attribute = f' class="{kind}"' if kind else ""
    return "".join(f"<p{attribute}>{escape(words)}</p>" for words in sentences if words)


def tiles(facts: Iterable[tuple[str, str]]) -> str:
    """A few large figures with what they are."""
    shown = (
        f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in facts
    )
    return f'<div class="tiles">{"".join(shown)}</div>'


def section(title: str, *parts: str) -> str:
    """A headed part of the page."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def figure(chart: str, caption: str = "") -> str:
    """A chart with what it shows."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{chart}{words}</figure>"


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, words: Sequence[int] = ()
) -> str:
    """A table that scrolls sideways where it must; columns in ``words`` hold sentences."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    kinds = dict.fromkeys(words, ' class="words"')
    body = "".join(
        "<tr>"
        + "".join(f"<td{kinds.get(i, '')}>{escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
