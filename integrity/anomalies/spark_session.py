"""A Spark session to run the checks in, or one line that says why there is none.

Spark is an extra (requirements-spark.txt). It needs a Java of the system's own, 17 or newer and whole: the Java runtime
that runs the embedded broker lacks a module that Spark insists on.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from integrity.errors import Unavailable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Threads of this machine, without a cluster.
LOCAL = "local[*]"

#: What Spark insists on, and the packaged Java runtime does not have.
MODULE = "jdk.incubator.vector"
OLDEST_JAVA = 17

#: Loggers of pyspark's that write each error to the terminal, as JSON, before anybody has caught it.
_TALKERS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.timestampType": "TIMESTAMP_NTZ",  # as in DuckDB, TIMESTAMP has no zone
    "spark.sql.ansi.enabled": "true",  # a number that overflows or cannot be cast is an error, not null
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}

#: On this machine alone: what it may keep in memory before it spills to disk, nobody else is to connect to it, and
#: the default of 200 parts would cost more than it gains.
_LOCAL_SETTINGS = {
    "spark.driver.memory": "2g",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "16",
    # While it starts. An error is told in one line; Spark's log would have its stack as well. A cluster's is left on:
    # what its manager has against us may be nowhere else.
    "spark.log.level": "OFF",
}

#: Seconds for a cluster's master to take a connection.
_CONNECT = 10

#: What comes of a start in the course of which Spark has stopped itself again. It does so when no master takes it.
_GIVEN_UP = "Cannot call methods on a stopped SparkContext"


def session(master: str = LOCAL, **settings: str) -> SparkSession:
    """A Spark session on ``master`` (local[*], spark://host:7077, yarn ...). settings: over the suite's own.

    Raises Unavailable, in one line, without pyspark or a Java that it can use, and where Spark does not start; then
    there is no half of a session left that the next caller would be given.
    """
    try:
        import pyspark
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
        from pyspark.logger import PySparkLogger
        from pyspark.sql import SparkSession
    except ModuleNotFoundError as missing:
        raise Unavailable("--engine spark needs pyspark: pip install -r requirements-spark.txt") from missing
    require_java()
    require_master(master)
    for name in _TALKERS:
        PySparkLogger.getLogger(name).disabled = True
    builder = SparkSession.builder.master(master).appName("kafka-integrity")
    here = _LOCAL_SETTINGS if master.startswith("local") else {}
    for name, value in (_SETTINGS | here | settings).items():
        builder = builder.config(name, value)
    before = pyspark.SparkContext._active_spark_context
    try:
        made = builder.getOrCreate()
        made.sparkContext.setLogLevel(_SETTINGS["spark.log.level"])
    # Java's own errors too: pyspark makes its own of them only once a session is there.
    except (PySparkException, Py4JError, OSError, RuntimeError) as error:
        reason = first_line(error)
        if _GIVEN_UP in reason:
            reason = f"it has not taken the application; is it a master of Spark {pyspark.__version__}?"
        half = pyspark.SparkContext._active_spark_context
        if half is not None and half is not before:
            half.stop()
        raise Unavailable(f"no Spark session can be had on {master}: {reason}") from error
    return made


def require_master(master: str) -> None:
    """Raise Unavailable, in one line, when nothing listens where Spark's own cluster is said to be.

    master: spark://host:port, or several of them, spark://host:port,host:port. Anything else is left to Spark, which
    is quick to say so. Of a master that does not answer it says after a minute, and only that it has stopped.
    """
    scheme, _, hosts = master.partition("://")
    places = [re.fullmatch(r"\[?(.+?)\]?:(\d+)", place) for place in hosts.split(",")]
    if scheme != "spark" or not all(places):
        return
    for place in places:
        try:
            socket.create_connection((place[1], int(place[2])), timeout=_CONNECT).close()
        except (OSError, OverflowError, UnicodeError) as error:
            refused = error
        else:
            return
    raise Unavailable(f"no Spark session can be had on {master}: nothing answers there: {refused}") from refused


def require_java() -> None:
    """Raise Unavailable, in one line, unless the Java that Spark would start is one that it can use."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    wanted = f"--engine spark needs a Java runtime of the system's, {OLDEST_JAVA} or newer and with all its modules"
    if java is None:
        raise Unavailable(f"{wanted}: there is no java on the PATH and no JAVA_HOME")
    try:
        done = subprocess.run([java, "--list-modules"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{wanted}: {java} cannot be run") from error
    version = re.search(r"^java\.base@(\d+)", done.stdout, re.MULTILINE)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise Unavailable(f"{wanted}: {java} is {f'Java {version[1]}' if version else 'older than Java 9, or none'}")
    if MODULE not in done.stdout:
        raise Unavailable(f"{wanted}: {java} is a Java {version[1]} without {MODULE}; set JAVA_HOME to a full one")


def first_line(error: Exception) -> str:
    """The first line of an error's text that says something.

    Of a Java error that pyspark has left as it is, whose text begins with the name of a method of py4j's: its class and
    its words, and those of its root cause unless it has them already.
    """
    java = getattr(error, "java_exception", None)
    if java is None:
        return _first(str(error)) or type(error).__name__
    root = java
    while root.getCause() is not None:
        root = root.getCause()
    said = _first(java.toString())
    more = _first(root.getMessage() or root.toString())
    return said if more in said else f"{said}; caused by {_first(root.toString())}"


def _first(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line), "")


if __name__ == "__main__":  # does this machine have a Java for it? Asked before pyspark is fetched
    try:
        require_java()
    except Unavailable as reason:
        sys.exit(str(reason))
