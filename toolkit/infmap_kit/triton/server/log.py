"""The reason why a Triton server failed, from its log."""

from __future__ import annotations

import re

_REASONS = (
    re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.*)"),
    re.compile(r"(?P<reason>error while loading shared libraries: .*)"),
    re.compile(r"(?P<reason>.*(?:already in use|[Ff]ailed to start|failed to stat).*)"),
    re.compile(r"^error: (?P<reason>.*)"),
    re.compile(r"^E\d{4} \S+ \d+ \S+\] \"?(?P<reason>.*)"),
)
# Every server on a machine without a GPU logs this as an error, and goes on.
_HARMLESS = ("CudaDriverHelper has not been initialized",)

# What the python backend's process, or the shell that starts it, says before it ends. Triton waits for it on.
_HOPELESS = re.compile(
    r"^\S*(?:triton_python_backend_stub|(?:ba|da)?sh): (?P<reason>.*)", re.DOTALL
)


def hopeless(line: str) -> str:
    """The reason why a server whose log has this line will never be ready; empty when it may be."""
    match = _HOPELESS.match(line.strip())
    return f"its python backend cannot be started: {match['reason']}" if match else ""


def explain_log(lines: list[str]) -> str:
    """The reason of a failure in one line, from a server's log; empty when it has none."""
    telling = [line for line in lines if not any(words in line for words in _HARMLESS)]
    for pattern in _REASONS:
        # The last one is what it ended of.
        for line in reversed(telling):
            if match := pattern.search(line):
                # A Python traceback follows on the same line; its first part says what happened.
                reason = match["reason"].strip().strip('"').partition("\\n")[0]
                model = match.groupdict().get("model")
                return f"model {model!r} does not load: {reason}" if model else reason
    return ""
