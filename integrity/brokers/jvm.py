"""How the suite runs Kafka's classes: flags, logging, and the two things prepared once per machine.

Prepared once (in the cache, beside the version's lock): a formatted storage, because formatting costs a JVM,
and an ahead-of-time cache, which more than halves a start. Both are optional: where the cache cannot be
written, a broker formats for itself and starts more slowly.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

from integrity import cache, progress
from integrity.brokers import kraft
from integrity.brokers.distribution import Distribution
from integrity.errors import Unavailable
from integrity.waiting import scaled

#: Chosen for quick starts of short-lived brokers on two cores.
FLAGS = [
    "-XX:TieredStopAtLevel=1",
    # The interpreter need not count for a compiler that is never asked. With the next one: 9 % of the processor time of
    # features full of restarts.
    "-XX:-ProfileInterpreter",
    # Methods compiled into their callers are compiled many times over, which pays in hours, not in seconds; the
    # smallest are no longer than the call.
    "-XX:C1MaxInlineSize=6",
    "-XX:+UseSerialGC",
    "-Xmx512m",
    "-XX:+ExitOnOutOfMemoryError",
    # No file of counters for other programs, which a killed broker would leave in the machine's temporary folder.
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
]

LOG4J2 = """status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
"""
RELOAD4J = """log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
"""

#: The last one tells log4j's interface, which comes without the rest of it, not to look for that.
SLF4J_SIMPLE = [
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=[yyyy-MM-dd HH:mm:ss,SSS]",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dlog4j2.loggerContextFactory=org.apache.logging.log4j.simple.SimpleLoggerContextFactory",
]

#: What a broker does while its AOT cache is recorded; another training makes another cache.
TRAINING = Path(__file__).with_name("training.py")

#: Seconds for a tool such as StorageTool, and for a whole training run.
TOOL_SECONDS = 60


def command(distribution: Distribution, folder: Path, main: str, *arguments: str, flags: list[str] | None = None):
    """The command line that runs a class of Kafka's; its logging is set up in ``folder``.

    Temporary files go there too: the codecs unpack libraries into such, and leave them behind when they are killed.
    """
    return [
        str(distribution.java),
        *FLAGS,
        *(flags or []),
        *(SLF4J_SIMPLE if distribution.logger else [_log4j(distribution, folder)]),
        f"-Djava.io.tmpdir={folder}",
        "-cp",
        distribution.class_path,
        main,
        *arguments,
    ]


def require_libraries(folder: Path) -> None:
    """Raise Unavailable where what the codecs unpack below ``folder`` cannot be loaded.

    A broker would start there, and answer what is compressed with zstd or snappy with UNKNOWN_SERVER_ERROR.
    """
    if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0):  # which macOS does not tell
        raise Unavailable(
            f"Kafka's codecs unpack libraries into the temporary folder, but none can be loaded from {folder}, which "
            f"is mounted noexec; set TMPDIR to another place"
        )


def _log4j(distribution: Distribution, folder: Path) -> str:
    """Set log4j up, the one or the other, in ``folder``, and return the flag that names the file."""
    file = folder / "log4j.properties"
    is_2 = any("log4j-core" in jar.name for jar in distribution.jars)
    file.write_text(LOG4J2 if is_2 else RELOAD4J)
    return f"-D{'log4j2.configurationFile' if is_2 else 'log4j.configuration'}={file.as_uri()}"


def ahead_of_time_cache(distribution: Distribution) -> Path:
    """Where the AOT cache for this very runtime, set of jars, flags and training is or would be."""
    trained = hashlib.sha256(" ".join(FLAGS).encode() + TRAINING.read_bytes()).hexdigest()[:8]
    return distribution.home / f"{distribution.fingerprint}-{trained}.aot"


def start_flags(distribution: Distribution) -> list[str]:
    """The flags that make use of the AOT cache, none where there is no cache."""
    file = ahead_of_time_cache(distribution)
    return [f"-XX:AOTCache={file}", "-Xlog:aot*=off", "-Xlog:cds*=off"] if file.exists() else []


def format_storage(distribution: Distribution, folder: Path, node: int) -> None:
    """Make ``folder``, which is empty or not there, the data directory of node ``node``.

    A copy of the storage formatted once, under a directory id of its own; without that copy, StorageTool.
    """
    folder.mkdir(parents=True, exist_ok=True)
    formatted = distribution.home / "formatted" / "bootstrap.checkpoint"
    if not formatted.exists():
        formatted = _run_storage_tool(distribution, folder.parent / "format") / "bootstrap.checkpoint"
    shutil.copyfile(formatted, folder / "bootstrap.checkpoint")
    directory_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    if directory_id.startswith("-"):  # Kafka's own ids never do
        directory_id = "A" + directory_id[1:]
    (folder / "meta.properties").write_text(
        f"version=1\ncluster.id={kraft.CLUSTER_ID}\nnode.id={node}\ndirectory.id={directory_id}\n"
    )


def _run_storage_tool(distribution: Distribution, folder: Path) -> Path:
    """Run StorageTool in ``folder`` and return the data directory it formatted."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Nothing listens during formatting; the ports only have to parse.
        "controller.quorum.voters": "1@127.0.0.1:1",
        "listeners": "PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(folder / "data"),
    }
    (folder / "format.properties").write_text(kraft.properties(settings))
    words = command(
        distribution, folder, "kafka.tools.StorageTool", "format", "-t", kraft.CLUSTER_ID, "-c",
        str(folder / "format.properties"),
    )  # fmt: skip
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=scaled(TOOL_SECONDS), check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Kafka's StorageTool was not done after {error.timeout:.0f} s") from error
    if done.returncode:
        raise Unavailable(f"Kafka's StorageTool failed: {' '.join((done.stdout + done.stderr).split())[-300:]}")
    return folder / "data"


def prepare(distribution: Distribution, run) -> None:
    """Once per machine and version: format a storage, then start, use and stop a broker to record its AOT cache.

    run: the integrity.runs.Run in whose folder the recording broker lives. Never in the way: where the cache
    cannot be written or the recording fails, it says so in a line and brokers start without.
    """
    wanted = ahead_of_time_cache(distribution)
    if wanted.exists() and (distribution.home / "formatted").exists():
        return
    try:
        with cache.writing(distribution.home):
            if not (distribution.home / "formatted").exists():
                _keep_formatted(distribution)
            if not wanted.exists():
                progress.say(f"Preparing Kafka {distribution.version} for quick starts (once per machine)…")
                _record(distribution, run, wanted)
    except (Unavailable, OSError) as error:
        progress.say(f"Quick starts are not available: {error}")


def _keep_formatted(distribution: Distribution) -> None:
    with tempfile.TemporaryDirectory(prefix="formatting-", dir=distribution.home) as staging:
        data = _run_storage_tool(distribution, Path(staging))
        os.replace(data, distribution.home / "formatted")


def _record(distribution: Distribution, run, wanted: Path) -> None:
    from integrity.brokers import training
    from integrity.brokers.base import BrokerConfig, BrokerFailed
    from integrity.brokers.embedded import EmbeddedBroker

    recorded = wanted.with_suffix(".recording")
    broker = EmbeddedBroker(
        BrokerConfig(node=1), distribution=distribution, run=run, extra_flags=[f"-XX:AOTCacheOutput={recorded}"]
    )
    try:
        broker.start()
        training.use(broker.connection)
        broker.stop()
        os.replace(recorded, wanted)
    except (BrokerFailed, FileNotFoundError, *training.ERRORS) as error:
        raise Unavailable(f"no AOT cache could be recorded ({' '.join(str(error).split())[:200]})") from error
    finally:
        broker.discard()
        recorded.unlink(missing_ok=True)
