#!/usr/bin/env bash
# A container engine with buildx for this machine, also where there is no systemd.
set -Eeuo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
usage: docker/engine.sh install | start | status | stop

  install  install what is missing and start the engine; does nothing where a good one answers
  start    start the engine that is installed
  status   say in one line what is the case
  stop     stop the engine, if this script started it

Exit codes: 0 done (status: a good engine with buildx answers), 2 a mistake in the command,
3 anything that went wrong, with a message that says what to do next.

A second engine beside the first needs all of these, and a bridge made with `ip link`:
  MATRIXCI_ENGINE_DATA_ROOT  MATRIXCI_ENGINE_EXEC_ROOT  MATRIXCI_ENGINE_PIDFILE
  MATRIXCI_ENGINE_SOCKET     MATRIXCI_ENGINE_LOG        MATRIXCI_ENGINE_BRIDGE
Its containers reach the host and one another, nothing else: the firewall is the first engine's.
END
}

readonly INSTALL='docker/engine.sh install'
readonly OLDEST_ENGINE=23 # the first whose `docker build` is BuildKit
readonly START_SECONDS=120
readonly STOP_SECONDS=60
readonly DEFAULT_SOCKET=/var/run/docker.sock
readonly EXEC_ROOT=${MATRIXCI_ENGINE_EXEC_ROOT:-/var/run/docker}
readonly PIDFILE=${MATRIXCI_ENGINE_PIDFILE:-/var/run/docker.pid}
readonly SOCKET=${MATRIXCI_ENGINE_SOCKET:-$DEFAULT_SOCKET}
readonly LOG=${MATRIXCI_ENGINE_LOG:-/var/log/matrixci-engine.log}
readonly BRIDGE=${MATRIXCI_ENGINE_BRIDGE:-}
# "PID START-TIME" of the engine that this script started: the number alone may be another's by now.
readonly MARKER=$PIDFILE.matrixci

say() { printf '%s\n' "engine.sh: $*"; }

fail() {
    trap - ERR
    say "$@" >&2
    exit 3
}

trap 'fail "line $LINENO failed: $BASH_COMMAND"' ERR

# --- what is the case ---------------------------------------------------------------------------

host_is_local() {
    case ${DOCKER_HOST:-} in
        '' | "unix://$SOCKET" | unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
        *) return 1 ;;
    esac
}

host() { if host_is_local; then echo "unix://$SOCKET"; else echo "$DOCKER_HOST"; fi; }

# A daemon that hangs accepts the connection and never answers, hence the timeout.
engine_version() {
    timeout 20 docker --host "$(host)" version --format '{{.Server.Version}}' 2>/dev/null
}

new_enough() { [[ $1 =~ ^([0-9]+)\. ]] && ((BASH_REMATCH[1] >= OLDEST_ENGINE)); }

dockerd_new_enough() {
    command -v dockerd >/dev/null && new_enough "$(dockerd --version | cut -d ' ' -f 3)"
}

buildx_works() { docker buildx version >/dev/null 2>&1; }

# Prints one line about the engine; true if the engine is good.
describe() {
    local version
    if ! command -v docker >/dev/null; then
        echo "no docker client is on PATH: install one, or run $INSTALL"
    elif version=$(engine_version) && [[ -n $version ]]; then
        if ! new_enough "$version"; then
            echo "engine $version answers at $(host), but $OLDEST_ENGINE or newer is needed:" \
                "upgrade it, or stop it and run $INSTALL"
        elif ! buildx_works; then
            echo "engine $version answers at $(host), but $(command -v docker) finds no working" \
                "buildx plugin: install one, or run $INSTALL"
        else
            echo "engine $version with buildx answers at $(host)"
            return 0
        fi
    elif ! host_is_local; then
        echo "no engine answers at DOCKER_HOST=$DOCKER_HOST: start it there, or unset DOCKER_HOST"
    elif [[ -S $SOCKET && ! -w $SOCKET ]]; then
        echo "$(id -un) may not use the engine at $SOCKET: permission denied;" \
            "run \`sudo usermod -aG docker $(id -un)\` and log in again"
    else
        echo "no engine answers at $(host): run $INSTALL"
    fi
    return 1
}

systemd_manages() { [[ -d /run/systemd/system && $SOCKET == "$DEFAULT_SOCKET" ]]; }

# Whether PID is a live process called NAME. A zombie is dead, though `kill -0` finds it: without
# an init that reaps, a killed daemon stays one for good.
runs() { # PID NAME
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) && [[ $stat == "$1 ($2) "[!ZX]* ]]
}

start_time() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20; } # PID

# --- packages -----------------------------------------------------------------------------------

# Runs a command whose output matters only if it fails. A file, not a pipe: a daemon that a package
# starts would hold the pipe open.
quietly() {
    local output
    output=$(mktemp)
    if ! "$@" >"$output" 2>&1; then
        tail -n 15 "$output" >&2
        rm -f "$output"
        fail "\`$*\` failed, its last lines are above: mend that and run this again"
    fi
    rm -f "$output"
}

# Without the error mode, an update that reached no mirror at all counts as done.
apt_get() {
    quietly env DEBIAN_FRONTEND=noninteractive apt-get --yes --option Acquire::Retries=3 \
        --option APT::Update::Error-Mode=any --option DPkg::Lock::Timeout=300 "$@"
}

available() { [[ $(apt-cache policy "$1") == *'Candidate: '[0-9]* ]]; }

# The machine's own apt entry for its release, made to name the suite trixie: mirror, keyring and
# options stay what they are.
trixie_entry() { # FILE
    case $1 in
        *.sources)
            awk -v RS= 'tolower("\n" $0 "\n") ~ /\nsuites:([^\n]*[ \t])?bookworm[ \t\n]/ {
                print; exit }' "$1" |
                sed -E '/^#/d; s/^(Types:).*/\1 deb/I; s/^(Suites:).*/\1 trixie/I
                    s/^(Components:).*/\1 main/I'
            ;;
        *)
            awk '/^deb[ \t]/ && /[ \t]bookworm[ \t](.*[ \t])?main/ { print; exit }' "$1" |
                sed -E 's/[ \t]bookworm[ \t].*/ trixie main/'
            ;;
    esac
}

# Debian 12 has Docker 20.10 and no buildx. Debian 13's packages run on it, with its own containerd
# and runc; the pins let nothing else move.
add_trixie() {
    local file entry form=list
    # shellcheck disable=SC2016 # apt's own placeholder
    file=$(apt-get indextargets --format '$(SOURCESENTRY)' 'Created-By: Packages' \
        'Origin: Debian' 'Codename: bookworm' 'Component: main' | sed -n '1s/:[0-9]*$//p')
    entry=${file:+$(trixie_entry "$file")}
    [[ -n $entry ]] ||
        fail 'apt knows no docker-buildx, and no apt source here has a "bookworm main" to add' \
            "Debian 13's packages beside: install Docker Engine $OLDEST_ENGINE or newer with" \
            'buildx yourself, then run this again'
    [[ $file == *.sources ]] && form=sources
    cat >/etc/apt/preferences.d/matrixci-trixie <<'END'
Package: *
Pin: release o=Debian,n=trixie
Pin-Priority: 1

Package: docker.io docker-cli docker-buildx
Pin: release o=Debian,n=trixie
Pin-Priority: 990
END
    printf '%s\n' "$entry" >"/etc/apt/sources.list.d/matrixci-trixie.$form"
    apt_get update
}

install_packages() {
    local -a wanted=()
    command -v docker >/dev/null && dockerd_new_enough || wanted+=(docker.io)
    buildx_works || wanted+=(docker-buildx)
    command -v iptables >/dev/null || wanted+=(iptables)
    command -v debootstrap >/dev/null || wanted+=(debootstrap)
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || wanted+=(ca-certificates)
    ((${#wanted[@]})) || return 0
    command -v apt-get >/dev/null ||
        fail "missing here, and there is no apt-get to install it: ${wanted[*]}. Install Docker" \
            "Engine $OLDEST_ENGINE or newer with buildx yourself, then run this again"

    say "installing ${wanted[*]}"
    apt_get update
    [[ ${wanted[*]} != *docker-buildx* ]] || available docker-buildx || add_trixie
    # Ubuntu's docker.io has the client in it, and so had Debian's before 13: its upgrade loses it.
    [[ ${wanted[*]} != *docker.io* ]] || ! available docker-cli || wanted+=(docker-cli)
    quietly dpkg --configure -a # where an earlier installation was interrupted
    apt_get install --no-install-recommends "${wanted[@]}"
}

# A client built for other folders than the package's finds no plugin there; each client looks here.
link_buildx() {
    local folder=${DOCKER_CONFIG:-${HOME:-/root}/.docker}/cli-plugins plugin
    buildx_works && return
    for plugin in /usr/{local/lib,libexec,lib}/docker/cli-plugins/docker-buildx; do
        [[ -x $plugin ]] || continue
        mkdir -p "$folder"
        ln -sfn "$plugin" "$folder/docker-buildx"
        ! buildx_works || return 0
    done
    fail "$(command -v docker) finds no working buildx plugin: put one at $folder/docker-buildx"
}

# --- start and stop -----------------------------------------------------------------------------

listening() { # SOCKET
    awk -v path="${1#/var}" '$NF == path || $NF == "/var" path { found = 1 }
        END { exit !found }' /proc/net/unix
}

# dockerd believes any live process that has the number in its pid file, or in its containerd's,
# and waits in vain for a containerd that it did not start itself (26.1).
clear_stale_files() {
    local pid file
    pid=$(cat "$PIDFILE" 2>/dev/null || true)
    if [[ -n $pid ]] && runs "$pid" dockerd; then
        fail "dockerd runs (process $pid of $PIDFILE) but does not answer at $SOCKET: see its log" \
            "($LOG, if this script started it), wait or end it, then run this again"
    fi
    rm -f "$PIDFILE"
    listening "$SOCKET" || rm -f "$SOCKET"
    for file in "$EXEC_ROOT"/containerd/*.pid; do
        [[ -e $file ]] || continue
        pid=$(cat "$file")
        if runs "$pid" containerd && grep -qF "$EXEC_ROOT/" "/proc/$pid/cmdline"; then
            end_process "$pid" containerd
        fi
        rm -f "$file" "${file%/*}"/*.sock "${file%/*}"/*.sock.ttrpc
    done
    # dockerd takes this socket for a running containerd and starts none of its own.
    listening /run/containerd/containerd.sock || rm -f /run/containerd/containerd.sock
}

# Lists are not enough: a kernel without the matches that Docker uses shows that at the first rule.
firewall_works() { # IPTABLES
    local chain=MATRIXCI-PROBE works=0
    "$1" --wait -t nat -N "$chain" || works=1
    "$1" --wait -t nat -A "$chain" -m addrtype --dst-type LOCAL -j MASQUERADE || works=1
    "$1" --wait -t nat -F "$chain" || works=1
    "$1" --wait -t nat -X "$chain" || works=1
    return "$works"
} >/dev/null 2>&1

choose_firewall() {
    firewall_works iptables && return
    firewall_works iptables-legacy ||
        fail 'this kernel takes no NAT rules from iptables, neither nft nor legacy (or this is a' \
            'container without NET_ADMIN): use a machine or a container that may set them'
    say 'iptables (nft) does not work on this kernel: switching to iptables-legacy'
    quietly update-alternatives --set iptables "$(command -v iptables-legacy)"
    quietly update-alternatives --set ip6tables "$(command -v ip6tables-legacy)"
}

# Larger packets than the way out takes get lost where nobody reports it: downloads hang.
smallest_mtu() {
    local device mtu least=1500
    while read -r device; do
        mtu=$(<"/sys/class/net/$device/mtu")
        ((mtu >= least)) || least=$mtu
    done < <(awk '$2 == "00000000" && $8 == "00000000" { print $1 }' /proc/net/route)
    echo "$least"
}

start_engine() {
    local pid program mtu
    local -a settings
    engine_version >/dev/null && return
    if systemd_manages; then
        systemctl start docker ||
            fail 'systemd could not start docker: see journalctl --unit docker'
        return
    fi
    for program in docker dockerd; do
        command -v "$program" >/dev/null || fail "$program is not installed: run $INSTALL"
    done
    clear_stale_files
    [[ -n $BRIDGE ]] || choose_firewall
    # Only what differs from dockerd's defaults: it refuses to start with a setting that stands in
    # its configuration file too.
    settings=(
        ${MATRIXCI_ENGINE_DATA_ROOT:+"--data-root=$MATRIXCI_ENGINE_DATA_ROOT"}
        ${MATRIXCI_ENGINE_EXEC_ROOT:+"--exec-root=$EXEC_ROOT"}
        ${MATRIXCI_ENGINE_PIDFILE:+"--pidfile=$PIDFILE"}
        ${MATRIXCI_ENGINE_SOCKET:+"--host=unix://$SOCKET"}
    )
    mtu=$(smallest_mtu)
    ((mtu == 1500)) || grep -qs '"mtu"' /etc/docker/daemon.json || settings+=("--mtu=$mtu")
    # An engine that starts flushes the firewall chains of the one that runs. (`--bridge=none`
    # would delete docker0, whosever it is.)
    [[ -z $BRIDGE ]] ||
        settings+=("--bridge=$BRIDGE" --iptables=false --ip6tables=false --ip-forward=false)
    if [[ -f $LOG ]]; then mv -f "$LOG" "$LOG.1"; fi
    # A session of its own, or it ends with the terminal, the job or the test that needed it first.
    # The lock must not live as long as it does.
    (cd / && exec setsid dockerd "${settings[@]}" </dev/null &>"$LOG" 9>&-) &
    pid=$!
    echo "$pid $(start_time "$pid")" >"$MARKER"
    wait_for_answer "$pid"
}

wait_for_answer() { # PID
    local deadline=$((SECONDS + START_SECONDS))
    until engine_version >/dev/null; do
        if ! kill -0 "$1" 2>/dev/null; then
            tail -n 15 "$LOG" >&2
            fail "dockerd ended instead of answering; its last lines are above, the rest in $LOG:" \
                "mend what they name, then run this again"
        elif ((SECONDS >= deadline)); then
            tail -n 15 "$LOG" >&2
            kill "$1" || true
            fail "dockerd did not answer at $SOCKET within $START_SECONDS s and was ended; its" \
                "last lines are above, all of them in $LOG"
        fi
        sleep 0.2
    done
}

end_process() { # PID NAME
    local deadline=$((SECONDS + STOP_SECONDS))
    kill "$1" 2>/dev/null || true
    while runs "$1" "$2"; do
        ((SECONDS < deadline)) ||
            fail "$2 (process $1) has not ended for $STOP_SECONDS s: look at its log, end it"
        sleep 0.2
    done
}

stop_engine() {
    local pid='' started=''
    [[ ! -f $MARKER ]] || read -r pid started <"$MARKER"
    if [[ -n $pid ]] && runs "$pid" dockerd && [[ $(start_time "$pid") == "$started" ]]; then
        end_process "$pid" dockerd
        say "stopped the engine at $SOCKET"
    elif engine_version >/dev/null; then
        fail "this script did not start the engine at $SOCKET: stop it with what started it"
    else
        say 'no engine of this script runs'
    fi
    rm -f "$MARKER"
}

# --- the command --------------------------------------------------------------------------------

good_already() {
    local line
    line=$(describe) && say "$line"
}

report() {
    local line
    line=$(describe) || fail "$line"
    say "$line"
}

# Whether this may be done here; and one at a time, as two would each start an engine.
prepare() { # SUBCOMMAND
    local line
    line=$(describe) || true
    host_is_local || fail "nothing installed or started here, as DOCKER_HOST is set: $line"
    if ((EUID != 0)); then
        [[ ! -S $SOCKET || -w $SOCKET ]] || fail "$line"
        fail "$1 needs root: run it as root (sudo docker/engine.sh $1)"
    fi
    mkdir -p "${PIDFILE%/*}" "${LOG%/*}"
    exec 9>"$PIDFILE.lock"
    flock --timeout 600 9 || fail "another engine.sh has been at work for 10 minutes: see ps"
}

main() {
    PATH=$PATH:/usr/sbin:/sbin # not on every root's PATH
    (($# == 1)) || { usage >&2; exit 2; }
    case $1 in
        install)
            good_already && return
            prepare install
            install_packages
            link_buildx
            start_engine
            report
            ;;
        start)
            good_already && return
            prepare start
            start_engine
            report
            ;;
        status) report ;;
        stop)
            ((EUID == 0)) || fail 'stop needs root: run it as root (sudo docker/engine.sh stop)'
            stop_engine
            ;;
        -h | --help) usage ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
}

main "$@"
