"""Text from anywhere, made fit for a report: cleaned, cut to one sentence, or made a file's name."""

from __future__ import annotations

import hashlib
import re
import unicodedata

#: CSI and OSC sequences, and the two-byte escapes: what terminals act on and readers do not want to see.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")

#: What XML 1.0 cannot hold or asks to be avoided; tab and line feed are fine.
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 17))
    + "]"
)

#: Marks that turn the direction of what follows: they could make a line read as what it is not.
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")

_SENTENCE = re.compile(r"(.+?[.!?])(?=\s+[^\sa-z]|\s*$)", re.DOTALL)
_EXPECTED = re.compile(r"Expected:\s*(?P<expected>.*?)\n\s*but:\s*(?P<but>.*)", re.DOTALL)
_BEHAVE_PREFIX = re.compile(r"^(?:ASSERT FAILED|ERROR|HOOK-ERROR in [^:]+): *")

#: A sentence longer than this is cut: it has to fit a table's cell.
SENTENCE_CHARACTERS = 300

#: UTF-8 bytes of one file name; every file system in use takes 255, and tools append suffixes.
NAME_BYTES = 100

#: Names Windows keeps for devices, whatever the suffix.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})


def _show(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def clean(text: object) -> str:
    """``text`` with nothing that XML, HTML or a reader stumbles over.

    Terminal colours go; control characters, lone surrogates, non-characters and direction marks become visible escapes
    (``\\x00``), so nothing that was in a message is hidden. Line ends become line feeds.
    """
    shown = _ANSI.sub("", str(text)).replace("\r\n", "\n")
    return _TURNING.sub(_show, _UNFIT.sub(_show, shown))


def one_line(text: object) -> str:
    """``text`` cleaned, on one line, with single spaces."""
    return " ".join(clean(text).split())


def first_sentence(text: object) -> str:
    """The first plain sentence of a message, on one line, for tables, consoles and JUnit's ``message``.

    behave's prefixes go. A PyHamcrest mismatch (``Expected: ... but: ...``) becomes one sentence of both halves.
    """
    whole = _BEHAVE_PREFIX.sub("", clean(text).strip()).strip()
    match = _EXPECTED.search(whole)
    if match:
        reason = one_line(whole[: match.start()])
        halves = f"expected {one_line(match['expected'])}, but {_in_a_row(match['but'].split(chr(10) + chr(10))[0])}"
        whole = f"{reason.rstrip('.:')}: {halves}" if reason else halves[0].upper() + halves[1:]
    else:
        whole = whole.split("\n\n")[0]
        match = _SENTENCE.match(whole.split("\n")[0] if whole.count("\n") else whole)
        whole = match.group(1) if match else whole.split("\n")[0]
    whole = one_line(whole)
    if len(whole) > SENTENCE_CHARACTERS:
        whole = whole[: SENTENCE_CHARACTERS - 1].rsplit(" ", 1)[0].rstrip(",;:") + "…"
    return whole


def _in_a_row(lines: str) -> str:
    """Lines as the parts of one sentence. Of the examples below a line (``- ...``) the first is enough."""
    parts: list[str] = []
    shown = 0
    for line in filter(None, map(one_line, lines.splitlines())):
        if not line.startswith("- ") or not parts:
            parts.append(line)
        elif shown < len(parts):
            parts[-1] += f" ({line[2:]})"
            shown = len(parts)
    said = ""
    for part in parts:
        said += part if not said else f" {part}" if said.endswith((":", ",", ";", ".")) else f"; {part}"
    return said


def shortened(text: str, limit: int) -> str:
    """``text`` of at most about ``limit`` characters: the middle goes, and a line says how much of it."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"


def file_name(title: str) -> str:
    """``title`` as one folder's or file's name that every file system takes; letters of any script stay.

    A name that had to be cut ends with eight digits of the title's hash, so that long titles stay apart. Two different
    short titles may still meet (``a/b`` and ``a b``): the caller makes them unique.
    """
    normal = unicodedata.normalize("NFC", clean(title))
    kept = "".join(c if c.isalnum() or c in "-_." else " " for c in normal)
    name = "-".join(kept.split()).strip(".-")
    if not name:
        name = "unnamed"
    if name.split(".")[0].lower() in _DEVICES:
        name = f"_{name}"
    raw = name.encode()
    if len(raw) > NAME_BYTES:
        short = raw[: NAME_BYTES - 9].decode(errors="ignore").rstrip(".-")
        name = f"{short}-{hashlib.sha256(title.encode(errors='backslashreplace')).hexdigest()[:8]}"
    return name


_NOT_PROMISED = re.compile(r"\bNot promised:\s*(?P<what>.+?)(?:\.(?=\s|$)|$)", re.DOTALL | re.IGNORECASE)


def not_promised(description: list[str]) -> str:
    """What a Feature's or Rule's description says after "Not promised:", to the end of that sentence; or ''."""
    match = _NOT_PROMISED.search(one_line(" ".join(description)))
    return match["what"] if match else ""
