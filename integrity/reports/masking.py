"""Hides secrets in whatever is printed, reported or kept: values under a telling name, and those that are known.

Two ways, and a text goes both: by the name before it (``--password hunter2``, ``token=...``; integrity.reports.handed
has those that tell less), which needs the text's quoting to tell where the secret ends; and by its value, wherever
that is, in every form that shells, JSON and property files give it. A command is taken apart as a shell would, also a
command inside a command, so that its secrets are known whole. In doubt too much is hidden.
"""

from __future__ import annotations

import functools
import html
import json
import re
import shlex
import urllib.parse
from collections.abc import Callable, Iterable, Sequence

from integrity.reports import handed
from integrity.reports.text import clean

MASK = "********"

#: A secret of fewer characters is hidden only where it stands alone: "1" is in every other word.
SHORT = 4

#: Of a secret of several lines (a key) each line is one by itself, if it has so many characters.
LINE = 16

#: Commands inside commands that are taken apart: ``ssh host 'sh -c "..."'`` is two.
DEPTH = 5

#: The name of something that is hidden whole.
_TELLING = re.compile(
    r"pass(?:word|wd|phrase)|secret|token|jaas|credential|api[._-]?key|private[._-]?key|ssl[._-]key(?!store\.(?:location|type))"
    r"|keystore[._-](?:key|certificate)|^(?:proxy-)?authorization$|^-.*(?:pass|pwd)$",
    re.IGNORECASE,
)

# A telling name in the midst of a text, where less is telling: an error's name may be TopicAuthorizationFailed. Here
# and below nothing is taken back (++) and little looked through twice: a command may print a hundred megabytes.
_NAME = (
    r"(?<![\w.-])(?:(?=[\w.-]*?(?:password|passwd|passphrase|secret|token|api[._-]?key|jaas[._-]config))[\w.-]++"
    r"|(?:proxy-)?authorization"
    r"|(?=-)[\w.-]++(?:(?<=pass)|(?<=pwd)|(?<=credential)|(?<=credentials)|(?<=private[._-]key)|(?<=privatekey)))"
)
_SCHEME = r"(?:(?:Bearer|Basic|Token)\s+)?"
_SCHEME_FIRST = re.compile(_SCHEME, re.IGNORECASE)
#: ``'--password=a b'``, ``"token: a b"``: the quote before the name closes after the value.
_QUOTED_WITH_NAME = [
    re.compile(rf"(?<={quote}){_NAME}\s*[=:]\s*{within}(?={quote})", re.IGNORECASE)
    for quote, within in handed.WITHIN.items()
] + handed.QUOTED
#: Any other.
_AFTER_NAME = [
    re.compile(rf"(?:{_NAME}\\*[\"']?\s*[=:]\s*{_SCHEME}|(?=-){_NAME}\s+){handed.VALUE}", re.IGNORECASE),
    *handed.BARE,
]
_ADDRESS_USER = re.compile(r"(?<=://)[^/\s@:]*:[^/\s]+(?=@)")

#: A word of a command that names and holds something: ``--password=x``, ``stop_command=...``, ``Authorization: ...``.
_NAMED = re.compile(r"(?P<name>[\w.-]+)\s*[=:]\s*(?P<value>.*)", re.DOTALL)


def masked(name: str, value: object, secrets: Iterable[str] = ()) -> str:
    """``value`` as text for a report: wholly hidden under a telling ``name``, else as ``mask_command`` has it."""
    text = clean(value)
    return MASK if text and _TELLING.search(name) else mask_command(text, secrets)


def mask_inside(text: str) -> str:
    """``text`` with the values of passwords, secrets and tokens hidden, as in ``--password hunter2``."""
    for pattern in _QUOTED_WITH_NAME:
        text = pattern.sub(_without_value, text)
    for pattern in _AFTER_NAME:
        text = pattern.sub(lambda match: _without_value(match, _stray_quote(match["value"])), text)
    return _ADDRESS_USER.sub(MASK, text)


def _without_value(match: re.Match[str], after: str = "") -> str:
    if not handed.hands_over(match):
        return match[0]
    return f"{match.string[match.start() : match.start('value')]}{MASK}{after}"


def mask_command(command: str | Sequence[str], secrets: Iterable[str] = (), depth: int = DEPTH) -> str:
    """A command's text or words as text, without its own secrets and the known ones.

    A text keeps its looks where that hides as much as hiding in each of its words; else it is written anew.
    """
    found = {*secrets, *secrets_in(command, depth)}
    if not isinstance(command, str):
        return " ".join(_quoted(_mask_word(word, found, depth)) for word in command)
    in_place = mask_inside(hide(command, found))
    words = _split(command)
    if words is None or not depth:
        return in_place
    shown = [_mask_word(word, found, depth) for word in words]
    return in_place if shown in (words, _split(in_place)) else " ".join(map(_quoted, shown))


def _mask_word(word: str, found: set[str], depth: int) -> str:
    if word in found:
        return MASK
    before, inner = "", word
    if (named := _NAMED.fullmatch(word)) is not None:
        before, inner = word[: named.start("value")], named["value"]
        if inner and _tells(named):
            return before + MASK
    if depth and _split(inner) not in (None, [], [inner]):
        return before + mask_command(inner, found, depth - 1)
    return mask_inside(hide(word, found))


def secrets_in(command: str | Sequence[str], depth: int = DEPTH) -> set[str]:
    """The secrets that a command's text or words hand over by name, also to commands inside it."""
    found: set[str] = set()
    words: Sequence[str] | None = command if not isinstance(command, str) else _split(command)
    if isinstance(command, str):
        matches = (match for pattern in _AFTER_NAME for match in pattern.finditer(command))
        found |= {_unquoted(match["value"]) for match in matches if handed.hands_over(match)}
    found |= set(handed.in_words(words or ()))
    awaited = False
    for word in words or ():
        if awaited:
            found.add(word)
        named = _NAMED.fullmatch(word)
        value = named["value"] if named is not None else ""
        telling = _tells(named) if named is not None else word.startswith("-") and _TELLING.search(word) is not None
        if telling:
            found |= {value, _SCHEME_FIRST.sub("", value)}
        elif depth and _split(word) != [word]:
            found |= secrets_in(value or word, depth - 1)
        awaited = telling and not value
    # In double quotes a shell has two more escapes than Python's shlex knows.
    found |= {re.sub(r"\\([$`])", r"\1", secret) for secret in found}
    return {secret for secret in found if secret.strip("*")}


def _tells(named: re.Match[str]) -> bool:
    """Whether the name in a word of that form is that of something to be hidden."""
    is_variable = named.string[named.end("name") : named.start("value")] == "="
    return bool(_TELLING.search(named["name"]) or (is_variable and handed.VARIABLE.search(named["name"])))


def hide(text: str, secrets: Iterable[str]) -> str:
    """``text`` without the secrets, in whatever form they stand there."""
    wanted = frozenset(secret for secret in secrets if secret.strip("*"))
    return _pattern(wanted).sub(MASK, text) if wanted else text


@functools.lru_cache(maxsize=64)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    parts = {
        line.strip()
        for secret in secrets
        for line in secret.splitlines()
        if len(line.strip()) >= LINE and not line.startswith("-----")
    }
    forms = {form for secret in secrets | parts for form in _forms(secret)}
    alternatives = (
        re.escape(form) if len(form) >= SHORT else rf"(?<![\w.-]){re.escape(form)}(?![\w.-])"
        for form in sorted(forms, key=len, reverse=True)
    )
    return re.compile("|".join(alternatives))


#: What becomes of a text that is put into quotes, a property file or a page.
_WRITTEN: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace("'", "'\"'\"'"),  # shlex.quote, without the quotes around it
    lambda text: text.replace("'", "'\\''"),  # sh -x
    lambda text: re.sub(r'([\\"$`])', r"\\\1", text),  # in a shell's double quotes
    lambda text: re.sub(r"([^\w@%+=:,./-])", r"\\\1", text),  # a shell's word without quotes
    lambda text: re.sub(r"(\W)", r"\\\1", text),  # the same, by whoever takes no risk
    lambda text: re.sub(r"([\\:=#!])", r"\\\1", text),  # a property file
    lambda text: text.replace("\\", "\\\\"),
    lambda text: json.dumps(text)[1:-1],
    lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    lambda text: repr(text)[1:-1],
    lambda text: html.escape(text, quote=True),
    lambda text: html.escape(text, quote=False),
)


def _forms(secret: str) -> set[str]:
    """The secret as it is and as others write it, also one inside the other: a JAAS line in a file in a command."""
    once = {secret, clean(secret), *(write(secret) for write in _WRITTEN)}
    twice = {write(form) for form in once for write in _WRITTEN}
    try:
        addresses = {urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)}
    except UnicodeEncodeError:  # half a character has no place in an address
        addresses = set()
    return once | twice | addresses


def _split(text: str) -> list[str] | None:
    """The words of a command, as a shell would have them; None where a quote is not closed."""
    try:
        return shlex.split(text)
    except ValueError:
        return None


def _unquoted(value: str) -> str:
    """The secret in a value as it was found in a text."""
    words = _split(value)
    return words[0] if words is not None and len(words) == 1 else value[: len(value) - len(_stray_quote(value))]


def _stray_quote(value: str) -> str:
    """The quote at the end of a value that was opened before its name; empty where there is none."""
    last = value[-1]
    return last if last in "\"'" and value[0] not in "\"'\\" and value.count(last) % 2 else ""


def _quoted(word: str) -> str:
    """The word as a shell takes it; a mask needs no quotes, it has to be filled in anyway."""
    bare = word.replace(MASK, "x")
    return word if shlex.quote(bare) == bare else shlex.quote(word)
