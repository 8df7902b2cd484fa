#!/usr/bin/env bash
# A container engine for CI.
#   engine.sh start   when none answers: install one (as root, on Debian or Ubuntu) and start it; also see to debootstrap
#   engine.sh stop    end the engine that start has started, and no other
# DOCKER_HOST, where it names a socket, is where the engine listens. A second engine is never started beside one that
# runs: they would share the machine's bridge and packet filter, and each would undo the other's.
set -eu

host=${DOCKER_HOST:-unix:///var/run/docker.sock}
# One folder per checkout remembers the engine that was started for it.
state=${TMPDIR:-/tmp}/kafka-integrity-engine-$(cd "$(dirname "$0")" && pwd | cksum | cut -d' ' -f1)
pidfile=$state/dockerd.pid
log=$state/dockerd.log

say() { echo "engine: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
has() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }
runs_elsewhere() { cat /proc/[0-9]*/comm 2>/dev/null | grep -qx dockerd; }
answers() { has docker && DOCKER_HOST=$host timeout 10 docker info >/dev/null 2>&1; }

install_packages() {
    [ "$(id -u)" -eq 0 ] || fail "these packages are missing and only root can install them: $*"
    has apt-get || fail "these packages are missing and there is no apt-get to install them: $*"
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
    timeout 300 apt-get update -qq || fail "apt-get update failed"
    # Where the client is a package of its own, the engine's package no longer brings it.
    if apt-cache show docker-cli >/dev/null 2>&1 && [[ " $* " == *" docker.io "* ]]; then
        set -- "$@" docker-cli
    fi
    timeout 600 apt-get install -y -qq --no-install-recommends "$@" >"$state/apt.log" 2>&1 ||
        fail "apt-get install $* failed: $(tail -n 1 "$state/apt.log")"
}

start() {
    mkdir -p "$state"
    local missing=()
    has debootstrap || missing+=(debootstrap)
    if answers; then
        [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
        say "one answers at $host already"
        return
    fi
    case $host in
        unix://*) ;;
        *) fail "none answers at $host, and one can be started on a socket only" ;;
    esac
    has dockerd || missing+=(docker.io apparmor)
    has iptables || missing+=(iptables)
    mountpoint -q /sys/fs/cgroup || missing+=(cgroupfs-mount)
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
    if answers; then # the package has started it as a service of the machine, which it stays
        say "one answers at $host since it was installed"
        return
    fi
    [ "$(id -u)" -eq 0 ] || fail "none answers at $host, and only root can start one"
    ! runs_elsewhere || fail "none answers at $host, but a dockerd runs on this machine: point DOCKER_HOST at its socket"
    mountpoint -q /sys/fs/cgroup || cgroupfs-mount

    # A session of its own: Ctrl-C must not end it before the suite has cleaned up in it.
    PATH=$PATH:/usr/sbin:/sbin setsid dockerd --host "$host" --pidfile "$pidfile" >"$log" 2>&1 </dev/null &
    local pid=$! deadline=$((SECONDS + 60))
    until answers; do
        kill -0 "$pid" 2>/dev/null || fail "dockerd ended: $(tail -n 1 "$log")"
        if [ "$SECONDS" -ge "$deadline" ]; then
            kill "$pid"
            fail "dockerd does not answer after 60 s: $(tail -n 1 "$log")"
        fi
        sleep 0.2
    done
    say "started at $host (process $(cat "$pidfile"))"
}

stop() {
    [ -s "$pidfile" ] || {
        rm -rf "$state"
        return 0
    }
    local pid
    pid=$(cat "$pidfile")
    # The number may have become another process's since.
    if grep -qsz "^$pidfile\$" "/proc/$pid/cmdline"; then
        kill "$pid"
        if ! timeout 60 tail --pid="$pid" -f /dev/null; then
            say "process $pid is still there 60 s after it was asked to end"
            return 1
        fi
        say "stopped (process $pid)"
    fi
    rm -rf "$state"
}

case ${1-} in
    start | stop) "$1" ;;
    *) fail "usage: engine.sh start|stop" ;;
esac
