"""Secrets that commands are handed without a telling name: ``DB_PASS=x``, ``sshpass -p x``, ``curl -u me:x``.

What else has these letters stays: a port of ssh and of docker is also behind ``-p``, and behind docker's ``-u`` a user
and a group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath

#: In quotes; what goes on for longer than this is taken for a quote that never closes.
_IN_DOUBLE = r"\"(?:\\.|[^\"\\]){0,8192}+\""
_IN_SINGLE = r"'[^']{0,8192}+'"
#: A value in a text: in quotes, as one word of a shell's may be; in quotes that are escaped; in ones that never close;
#: or in none.
VALUE = (
    rf"(?P<value>(?:{_IN_DOUBLE}|{_IN_SINGLE})(?:{_IN_DOUBLE}|{_IN_SINGLE}|\\.|[^\s'\"\\,;)\]}}])*+"
    r"|(?P<escape>\\+[\"']).{0,8192}?(?P=escape)|[\"'].*+|(?:\\.|[^\s\\])++\\?|\\)"
)
#: By quotes: a value in ones that were opened before its name.
WITHIN = {"'": r"(?P<value>(?:'\"'\"'|'\\''|[^'\n]){1,8192}+)", '"': r"(?P<value>(?:\\.|[^\"\\\n]){1,8192}+)"}

#: The name of a variable that holds a secret. Where there is no ``=`` behind it, tests may pass.
VARIABLE = re.compile(r"(?:pass|pwd)$", re.IGNORECASE)
_VARIABLE = r"[\w.-]++=(?:(?<=pass=)|(?<=pwd=))"

_SSHPASS = r"sshpass\s+(?:-[fdP]\s*\S++\s+|-[veh]++\s+){0,8}?-[veh]*p\s*"
_SSHPASS_OPTION = re.compile(r"-[veh]*p(.*)", re.DOTALL)

#: What a user's name and password follow, parted by a colon: curl's ``-u``, also in ``-sku``, or in one word with it.
_APART = r"(?:[A-Za-z]{0,9}u|U|-user|-proxy-user|-auth)"
_JOINED = r"(?:[uU]|-(?:user|proxy-user|auth)=)"
_LOGIN = rf"-(?<!\S-)(?:{_APART}\s+|{_JOINED})"
#: The user's name. No such pair are the numbers of a user and a group, and an address.
_USER = r"(?!\d+:\d+(?:[\s'\"]|$)|\w+://)[^\s:'\"]*:"
#: Options of a container program that a value follows. Others are not: behind ``--rm`` is the image, maybe curl's.
_VALUED = r"(?:-[dit]*[ewvph]|--(?:env|env-file|workdir|detach-keys|name|network|volume|publish|hostname|label))"
#: Behind this, within so many characters, such an option is about whom a container works as: a user and a group.
_CONTAINERS = re.compile(
    r"\b(?:docker|podman|nerdctl)\b[^\n|;&]*\b(?:exec|run|create)"
    rf"(?:\s++(?:{_VALUED}\s++\S++|(?!{_VALUED}\s)-\S++))*\s*$"
)
_NEAR = 200

# Each begins with a character or a word that is looked for fast: a command may print a hundred megabytes. The group
# ``login`` is what may yet be a container's.
#: The quote before the name closes after the value; or never, where it was opened for this value.
QUOTED = [
    pattern
    for quote, within in WITHIN.items()
    for pattern in (
        re.compile(rf"{quote}{_VARIABLE}{within}(?={quote})", re.IGNORECASE),
        re.compile(rf"(?P<login>{_LOGIN}{quote}{_USER}){within}(?={quote}|$)", re.MULTILINE),
    )
]
#: Any other.
BARE = [
    re.compile(rf"=(?:(?<=pass=)|(?<=pwd=)){VALUE}", re.IGNORECASE),
    re.compile(rf"{_SSHPASS}{VALUE}"),
    re.compile(rf"(?P<login>{_LOGIN}{_USER}){VALUE}"),
]


def hands_over(match: re.Match[str]) -> bool:
    """Whether what matches a pattern of QUOTED or BARE, or one with a telling name, hands over a secret."""
    if match.groupdict().get("login") is None:
        return True
    return not _is_a_containers(match.string[max(0, match.start() - _NEAR) : match.start()])


def _is_a_containers(before: str) -> bool:
    """Whether the option for a user that follows this is a container program's own."""
    return _CONTAINERS.search(before) is not None


def in_words(words: Sequence[str]) -> Iterator[str]:
    """The secrets among a command's words, but for those of variables."""
    for place, word in enumerate(words):
        if PurePath(word).name == "sshpass":
            yield from _sshpass(words[place + 1 :])
        pair = _pair(words[place : place + 2])
        if re.match(_USER, pair) and not _is_a_containers(" ".join(words[:place])):
            yield pair.partition(":")[2]


def _sshpass(options: Sequence[str]) -> Iterator[str]:
    """What sshpass is handed by its options; behind them is another command with options of its own."""
    left = iter(options)
    for option in left:
        if not option.startswith("-"):
            return
        if (own := _SSHPASS_OPTION.fullmatch(option)) is not None:
            yield own[1] or next(left, "")
        elif option in ("-f", "-d", "-P"):
            next(left, None)


def _pair(words: Sequence[str]) -> str:
    """What the first of two words hands over for a login, be it the second one; empty where it does not."""
    if re.fullmatch(f"-{_APART}", words[0]):
        return words[1] if len(words) > 1 else ""
    joined = re.match(f"-{_JOINED}", words[0])
    return words[0][joined.end() :] if joined is not None else ""
