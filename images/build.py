"""Build the image ``kafka-integrity/kafka:<version>``; no image registry is asked for anything.

    python -m images.build --kafka 4.3.1

A minimal system of the machine's own distribution is the base (kept as ``kafka-integrity/base:<suite>``); on it
lie the jars and the Java runtime that the embedded broker uses too. The image takes KAFKA_* as apache/kafka does.
"""

from __future__ import annotations

import argparse
import platform
import re
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import BinaryIO

from images import base
from integrity import progress
from integrity.brokers import engine
from integrity.brokers.distribution import Distribution, fetch
from integrity.errors import SuiteError, Unavailable

IMAGE = "kafka-integrity/kafka"
BASE = "kafka-integrity/base"
DEFAULT_KAFKA = "4.3.1"

SOURCE = Path(__file__).parent / "kafka"

#: Seconds between two lines of the engine's answer; recording the ahead-of-time caches is one silent step.
BUILD_SECONDS = 600


def build(kafka: str, base_image: str | None = None) -> str:
    """Build the image of Kafka ``kafka`` and return its name.

    base_image: another image to stand on (it needs a shell, useradd and glibc); by default the one that
    ``images.base`` makes, once. Raises Unavailable, in one line, when anything needed is not there.
    """
    if sys.platform != "linux":
        raise Unavailable(
            "the offline image can be built on Linux only: its Java runtime is this machine's; "
            f"elsewhere use -D image=apache/kafka:{kafka}"
        )
    client = engine.engine()
    _check_architecture(client)
    distribution = fetch(kafka)
    if base_image is None:
        suite = base.suite()
        base_image = f"{BASE}:{suite}"
        if not engine.has_image(base_image):
            base.build(client, base_image, base.archive(suite))
    tag = f"{IMAGE}:{kafka}"
    progress.say(f"Building {tag}…")
    before = engine.image_id(tag)
    with tempfile.TemporaryFile() as context:
        _pack(context, distribution)
        context.seek(0)
        client.api.timeout = BUILD_SECONDS
        _build(client, context, tag, {"BASE": base_image, "KAFKA": kafka})
    if before is not None and before != engine.image_id(tag):
        _remove_replaced(client, before)
    return tag


def _check_architecture(client) -> None:
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    engines, own = client.info()["Architecture"], platform.machine()
    if names.get(engines, engines) != names.get(own, own):
        raise Unavailable(f"the engine runs {engines} images, but this machine's Java runtime is for {own}")


def _pack(context: BinaryIO, distribution: Distribution) -> None:
    """Write the build context: a tar with everything the Dockerfile copies."""
    with tarfile.open(fileobj=context, mode="w") as tar:
        tar.add(SOURCE, ".", filter=_anonymous)
        for jar in distribution.jars:
            tar.add(jar, f"libs/{jar.name}", filter=_anonymous)
        java = distribution.java.parent.parent
        for part in ("bin", "conf", "lib", "release"):  # not legal/ and include/, which nothing reads
            tar.add(java / part, f"java/{part}", filter=_anonymous)


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same entry whoever builds: root's, readable by all; so a second build finds its layers again."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mode |= 0o444 | (0o111 if entry.isdir() or entry.mode & 0o100 else 0)
    return entry


def _build(client, context: BinaryIO, tag: str, arguments: dict[str, str]) -> None:
    said: list[str] = []
    answer = client.api.build(
        fileobj=context, custom_context=True, tag=tag, buildargs=arguments, rm=True, forcerm=True, decode=True
    )
    try:
        for part in answer:
            if "error" in part:
                details = [line for line in said if line][-3:]
                raise Unavailable(
                    f"{tag} could not be built: {part['error'].strip()}; before that: {' | '.join(details)}"
                )
            lines = part.get("stream", "").splitlines()
            said += lines
            for line in lines:
                if re.match(r"Step \d+/\d+", line):
                    progress.replace_line(f"  {line}")
    finally:
        progress.replace_line("")


def _remove_replaced(client, image_id: str) -> None:
    """Remove the image that had our tag before, unless it has another or a container still uses it."""
    from docker.errors import APIError, ImageNotFound

    try:
        if not client.images.get(image_id).tags:
            client.images.remove(image_id)
    except ImageNotFound:
        return
    except APIError as error:
        if error.status_code != 409:  # in use
            raise


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m images.build", description=__doc__.splitlines()[0])
    parser.add_argument("--kafka", default=DEFAULT_KAFKA, metavar="VERSION", help="default: %(default)s")
    parser.add_argument("--base", metavar="IMAGE", help="the image to stand on, instead of one made by debootstrap")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        tag = build(options.kafka, options.base)
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 1
    size = engine.engine().images.get(tag).attrs["Size"] / 1e6
    progress.say(f"{tag}: {size:.0f} MB, built in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
