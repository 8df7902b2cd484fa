"""The image beneath: a minimal Debian (or Ubuntu), made by debootstrap from the machine's own package mirror."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integrity import progress
from integrity.errors import Unavailable

#: What a broker never reads; it more than halves the image. Relative to the file system's root.
LEFT_OUT = ["var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale"]

#: Seconds for debootstrap, most of them the mirror's.
BOOTSTRAP_SECONDS = 900

APT = Path("/etc/apt")

#: What to do where none can be made here.
ANOTHER_BASE = "or name an image to stand on: make image ARGS='--base IMAGE'"


@dataclass(frozen=True)
class Archive:
    """Where packages of one suite come from: ``suite`` is a code name such as "bookworm"."""

    mirror: str
    suite: str


def suite() -> str:
    """The code name of the machine's own distribution."""
    name = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if not name:
        raise Unavailable(f"the image's base needs a Debian or Ubuntu machine; {ANOTHER_BASE}")
    return name


def archive(suite: str, apt: Path = APT) -> Archive:
    """The archive that the machine's apt sources (below ``apt``) name for ``suite``'s main packages.

    Raises Unavailable when they name none.
    """
    for mirror, suites, components in _sources(apt):
        if suite in suites and "main" in components:
            return Archive(mirror, suite)
    raise Unavailable(f"no source in {apt} offers {suite} main, which the image's base is made from")


def _sources(apt: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(address, suites, components) of each apt source, in both of apt's formats."""
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]:
        if file.exists():
            for line in file.read_text().splitlines():
                if found := re.match(r"deb\s+(?:\[[^]]*\]\s+)?(https?://\S+)\s+(\S+)\s+(.+)", line):
                    yield found[1], [found[2]], found[3].split()
    for file in sorted((apt / "sources.list.d").glob("*.sources")):
        lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
        for paragraph in "\n".join(lines).split("\n\n"):
            fields = dict(re.findall(r"^(\w[\w-]*):[ \t]*(.*)$", paragraph, re.MULTILINE))
            if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
                for address in fields.get("URIs", "").split():
                    yield address, fields.get("Suites", "").split(), fields.get("Components", "").split()


def build(client, tag: str, source: Archive) -> None:
    """Make the base image ``tag`` of a fresh minimal system from ``source``.

    Raises Unavailable, in one line, when debootstrap is missing, the user is not root, or it fails.
    """
    for program, package in (("debootstrap", "debootstrap"), ("unshare", "util-linux"), ("tar", "tar")):
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
            raise Unavailable(f"{program} is missing: install the package {package} (apt-get install {package})")
    if os.geteuid() != 0:
        raise Unavailable(f"debootstrap needs root: run this as root; {ANOTHER_BASE}")
    progress.say(f"Making {tag} from Debian packages (once per engine)…")
    with tempfile.TemporaryDirectory(prefix="kafka-integrity-base-") as folder:
        root = Path(folder) / "root"
        _bootstrap(root, source)
        _import(client, root, tag)


def _bootstrap(root: Path, source: Archive) -> None:
    # A mount namespace of its own: what debootstrap mounts below root is gone when it ends, however it ends.
    words = ["unshare", "--mount", "debootstrap", "--variant=minbase", source.suite, str(root), source.mirror]
    environment = os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=BOOTSTRAP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"debootstrap was not done after {BOOTSTRAP_SECONDS} s") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["it says nothing"]
        raise Unavailable(f"debootstrap failed: {lines[-1]}")


def _import(client, root: Path, tag: str) -> None:
    """Hand the tree to the engine as a stream; no second copy of it is written here."""
    repository, _, label = tag.partition(":")
    words = ["tar", "-C", str(root), *(f"--exclude=./{path}/*" for path in LEFT_OUT), "-c", "."]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as packing:
        client.api.import_image_from_stream(packing.stdout, repository=repository, tag=label)
    if packing.returncode:
        raise Unavailable(f"tar failed on the base image's files (exit code {packing.returncode})")
