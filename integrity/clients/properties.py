"""Reads a properties file as Java does: the file that Kafka's own tools take as ``--command-config``.

Source: ``java.util.Properties.load`` (its documentation describes the format). Values may hold secrets, so an error
names the line's number and never shows the line.
"""

from __future__ import annotations

import re
from pathlib import Path

from integrity.errors import BadOption

_SIMPLE = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_ESCAPE = re.compile(r"\\(?:u(?P<code>[0-9a-fA-F]{4})|(?P<other>.))", re.DOTALL)
_BAD_UNICODE = re.compile(r"(?<!\\)(?:\\\\)*\\u(?![0-9a-fA-F]{4})")
#: The key ends at the first separator that no backslash escapes: '=', ':' or white space, with space around it.
_KEY = re.compile(r"(?P<key>(?:\\.|[^\\=:\s])*)[ \t\f]*[=:]?[ \t\f]*(?P<value>.*)", re.DOTALL)


def read(path: Path) -> dict[str, str]:
    """The properties of a file in UTF-8. Raises BadOption, in one line, when it cannot be read as such."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadOption(f"the properties file {path} cannot be read: {reason}") from error
    try:
        return parse(text)
    except BadOption as error:
        raise BadOption(f"{path}: {error}") from error


def parse(text: str) -> dict[str, str]:
    """The properties in ``text``; of a key that is given twice the last one counts. Raises BadOption."""
    found: dict[str, str] = {}
    for number, line in _logical_lines(text):
        if _BAD_UNICODE.search(line):
            raise BadOption(f"line {number}: \\u needs four hexadecimal digits")
        match = _KEY.fullmatch(line)
        assert match is not None, "the pattern takes any line"
        key = _unescaped(match["key"])
        if not key:
            raise BadOption(f"line {number}: there is no name before the value")
        found[key] = _unescaped(match["value"])
    return found


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Each property's text with the number of its first line: comments gone, continued lines joined."""
    lines: list[tuple[int, str]] = []
    pending: tuple[int, str] | None = None
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        line = raw.lstrip(" \t\f")
        if pending is None:
            if not line or line[0] in "#!":
                continue
            pending = (number, "")
        first, so_far = pending
        backslashes = len(line) - len(line.rstrip("\\"))
        if backslashes % 2:
            pending = (first, so_far + line[:-1])
        else:
            lines.append((first, so_far + line))
            pending = None
    if pending is not None:
        lines.append(pending)
    return lines


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        if match["code"]:
            return chr(int(match["code"], 16))
        return _SIMPLE.get(match["other"], match["other"])

    # Characters beyond the Basic Multilingual Plane are written as two \u escapes.
    return _ESCAPE.sub(plain, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
