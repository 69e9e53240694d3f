#!/usr/bin/env bash
# Install, start and stop a container engine with buildx, with or without systemd.
set -Eeuo pipefail
shopt -s inherit_errexit

usage() {
    cat <<'END'
usage: docker/engine.sh install | start | status | stop

  install  install missing packages and start the engine, unless a suitable one answers
  start    start the installed engine
  status   describe the engine in one line
  stop     stop the engine if this script started it

Exit codes: 0 success (status: a suitable engine with buildx answers), 2 invalid arguments,
3 any other failure, with a message that explains what to do.

To run a second engine, set all of these variables, and create a bridge with `ip link`:
  MATRIXCI_ENGINE_DATA_ROOT  MATRIXCI_ENGINE_EXEC_ROOT  MATRIXCI_ENGINE_PIDFILE
  MATRIXCI_ENGINE_SOCKET     MATRIXCI_ENGINE_LOG        MATRIXCI_ENGINE_BRIDGE
Its containers reach only the host and each other: the first engine controls the firewall.
END
}

readonly INSTALL='docker/engine.sh install'
readonly OLDEST_ENGINE=23 # the first whose `docker build` uses BuildKit
readonly START_SECONDS=120
readonly STOP_SECONDS=60
readonly DEFAULT_SOCKET=/var/run/docker.sock
readonly EXEC_ROOT=${MATRIXCI_ENGINE_EXEC_ROOT:-/var/run/docker}
readonly PIDFILE=${MATRIXCI_ENGINE_PIDFILE:-/var/run/docker.pid}
readonly SOCKET=${MATRIXCI_ENGINE_SOCKET:-$DEFAULT_SOCKET}
readonly LOG=${MATRIXCI_ENGINE_LOG:-/var/log/matrixci-engine.log}
readonly BRIDGE=${MATRIXCI_ENGINE_BRIDGE:-}
# "PID START-TIME" of the engine that this script started. The PID alone may have been reused.
readonly MARKER=$PIDFILE.matrixci

say() { printf '%s\n' "engine.sh: $*"; }

fail() {
    trap - ERR
    say "$@" >&2
    exit 3
}

trap 'fail "line $LINENO failed: $BASH_COMMAND"' ERR

# --- status -------------------------------------------------------------------------------------

host_is_local() {
    case ${DOCKER_HOST:-} in
        '' | "unix://$SOCKET" | unix:///var/run/docker.sock | unix:///run/docker.sock) ;;
        *) return 1 ;;
    esac
}

host() { if host_is_local; then echo "unix://$SOCKET"; else echo "$DOCKER_HOST"; fi; }

# The timeout is for a hanging daemon, which accepts the connection and never answers.
engine_version() {
    timeout 20 docker --host "$(host)" version --format '{{.Server.Version}}' 2>/dev/null
}

new_enough() { [[ $1 =~ ^([0-9]+)\. ]] && ((BASH_REMATCH[1] >= OLDEST_ENGINE)); }

dockerd_new_enough() {
    command -v dockerd >/dev/null && new_enough "$(dockerd --version | cut -d ' ' -f 3)"
}

buildx_works() { docker buildx version >/dev/null 2>&1; }

# Print one line about the engine; succeed if the engine is suitable.
describe() {
    local version
    if ! command -v docker >/dev/null; then
        echo "no docker client on PATH: install one, or run $INSTALL"
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
        echo "$(id -un) has no permission to use the engine at $SOCKET:" \
            "run \`sudo usermod -aG docker $(id -un)\` and log in again"
    else
        echo "no engine answers at $(host): run $INSTALL"
    fi
    return 1
}

systemd_manages() { [[ -d /run/systemd/system && $SOCKET == "$DEFAULT_SOCKET" ]]; }

# Succeed if PID is a live process called NAME. A zombie counts as dead, although `kill -0` finds
# it: without an init process that reaps it, a killed daemon stays a zombie.
runs() { # PID NAME
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) && [[ $stat == "$1 ($2) "[!ZX]* ]]
}

start_time() { sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20; } # PID

# --- packages -----------------------------------------------------------------------------------

# Run a command, and print its output only if it fails. The output goes to a file, because a daemon
# that a package starts would keep a pipe open.
quietly() {
    local output
    output=$(mktemp)
    if ! "$@" >"$output" 2>&1; then
        tail -n 15 "$output" >&2
        rm -f "$output"
        fail "\`$*\` failed, see its last lines above: fix that and run this again"
    fi
    rm -f "$output"
}

# Without the error mode, an update succeeds even if no mirror is reachable.
apt_get() {
    quietly env DEBIAN_FRONTEND=noninteractive apt-get --yes --option Acquire::Retries=3 \
        --option APT::Update::Error-Mode=any --option DPkg::Lock::Timeout=300 "$@"
}

available() { [[ $(apt-cache policy "$1") == *'Candidate: '[0-9]* ]]; }

# Print this machine's apt entry for its release, changed to the suite trixie, with the same mirror,
# keyring and options.
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

# Debian 12 has Docker 20.10 and no buildx. Debian 13's packages work there, with Debian 12's
# containerd and runc. The pins keep all other packages at Debian 12.
add_trixie() {
    local file entry form=list
    # shellcheck disable=SC2016 # a placeholder of apt
    file=$(apt-get indextargets --format '$(SOURCESENTRY)' 'Created-By: Packages' \
        'Origin: Debian' 'Codename: bookworm' 'Component: main' | sed -n '1s/:[0-9]*$//p')
    entry=${file:+$(trixie_entry "$file")}
    [[ -n $entry ]] ||
        fail 'apt has no package docker-buildx, and no apt source with "bookworm main" from which' \
            "to derive one for Debian 13: install Docker Engine $OLDEST_ENGINE or newer with" \
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
        fail "missing, and no apt-get to install it: ${wanted[*]}. Install Docker" \
            "Engine $OLDEST_ENGINE or newer with buildx yourself, then run this again"

    say "installing ${wanted[*]}"
    apt_get update
    [[ ${wanted[*]} != *docker-buildx* ]] || available docker-buildx || add_trixie
    # Ubuntu's docker.io contains the client. Debian 13 has it in a separate package.
    [[ ${wanted[*]} != *docker.io* ]] || ! available docker-cli || wanted+=(docker-cli)
    quietly dpkg --configure -a # finish an interrupted installation
    apt_get install --no-install-recommends "${wanted[@]}"
}

# A client from elsewhere may not search the plugin folders of the package. Every client searches its
# configuration folder.
link_buildx() {
    local folder=${DOCKER_CONFIG:-${HOME:-/root}/.docker}/cli-plugins plugin
    buildx_works && return
    for plugin in /usr/{local/lib,libexec,lib}/docker/cli-plugins/docker-buildx; do
        [[ -x $plugin ]] || continue
        mkdir -p "$folder"
        ln -sfn "$plugin" "$folder/docker-buildx"
        ! buildx_works || return 0
    done
    fail "$(command -v docker) finds no working buildx plugin: install one at $folder/docker-buildx"
}

# --- start and stop -----------------------------------------------------------------------------

listening() { # SOCKET
    awk -v path="${1#/var}" '$NF == path || $NF == "/var" path { found = 1 }
        END { exit !found }' /proc/net/unix
}

# dockerd trusts any live process with the PID in its own or containerd's PID file, and waits
# forever for a containerd that it did not start itself (26.1).
clear_stale_files() {
    local pid file
    pid=$(cat "$PIDFILE" 2>/dev/null || true)
    if [[ -n $pid ]] && runs "$pid" dockerd; then
        fail "dockerd runs (process $pid of $PIDFILE) but does not answer at $SOCKET: check its" \
            "log ($LOG, if this script started it), wait or end it, then run this again"
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
    # If this socket exists, dockerd assumes a running containerd and does not start one.
    listening /run/containerd/containerd.sock || rm -f /run/containerd/containerd.sock
}

# Listing rules is not enough: a kernel without the matches that Docker uses fails at adding a rule.
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
        fail 'this kernel accepts no NAT rules from iptables, neither nft nor legacy (or this' \
            'container lacks NET_ADMIN): use a machine or container that may add rules'
    say 'iptables (nft) does not work on this kernel; switching to iptables-legacy'
    quietly update-alternatives --set iptables "$(command -v iptables-legacy)"
    quietly update-alternatives --set ip6tables "$(command -v ip6tables-legacy)"
}

# Packets above the MTU of the outgoing route are dropped without an error, and downloads hang.
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
            fail 'systemd cannot start docker: see journalctl --unit docker'
        return
    fi
    for program in docker dockerd; do
        command -v "$program" >/dev/null || fail "$program is not installed: run $INSTALL"
    done
    clear_stale_files
    [[ -n $BRIDGE ]] || choose_firewall
    # Only settings that differ from the defaults: dockerd refuses to start if a setting is also in
    # its configuration file.
    settings=(
        ${MATRIXCI_ENGINE_DATA_ROOT:+"--data-root=$MATRIXCI_ENGINE_DATA_ROOT"}
        ${MATRIXCI_ENGINE_EXEC_ROOT:+"--exec-root=$EXEC_ROOT"}
        ${MATRIXCI_ENGINE_PIDFILE:+"--pidfile=$PIDFILE"}
        ${MATRIXCI_ENGINE_SOCKET:+"--host=unix://$SOCKET"}
    )
    mtu=$(smallest_mtu)
    ((mtu == 1500)) || grep -qs '"mtu"' /etc/docker/daemon.json || settings+=("--mtu=$mtu")
    # A starting engine would flush the firewall chains of the running one. (`--bridge=none` would
    # delete docker0 even if another engine uses it.)
    [[ -z $BRIDGE ]] ||
        settings+=("--bridge=$BRIDGE" --iptables=false --ip6tables=false --ip-forward=false)
    if [[ -f $LOG ]]; then mv -f "$LOG" "$LOG.1"; fi
    # In a new session, or it would end with the terminal, job or test that started it. It must not
    # inherit the lock.
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
            fail "dockerd ended without answering: fix the cause (last lines above, full log in" \
                "$LOG), then run this again"
        elif ((SECONDS >= deadline)); then
            tail -n 15 "$LOG" >&2
            kill "$1" || true
            fail "dockerd did not answer at $SOCKET within $START_SECONDS s and was stopped (last" \
                "lines above, full log in $LOG)"
        fi
        sleep 0.2
    done
}

end_process() { # PID NAME
    local deadline=$((SECONDS + STOP_SECONDS))
    kill "$1" 2>/dev/null || true
    while runs "$1" "$2"; do
        ((SECONDS < deadline)) ||
            fail "$2 (process $1) did not end within $STOP_SECONDS s: check its log, then end it"
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
        fail "this script did not start the engine at $SOCKET: stop it the way it was started"
    else
        say 'no engine that this script started is running'
    fi
    rm -f "$MARKER"
}

# --- the command --------------------------------------------------------------------------------

already_suitable() {
    local line
    line=$(describe) && say "$line"
}

report() {
    local line
    line=$(describe) || fail "$line"
    say "$line"
}

# Check that this user may change this machine's engine, and lock out other instances.
check_and_lock() { # SUBCOMMAND
    local line
    line=$(describe) || true
    host_is_local || fail "nothing installed or started, because DOCKER_HOST is set: $line"
    if ((EUID != 0)); then
        [[ ! -S $SOCKET || -w $SOCKET ]] || fail "$line"
        fail "$1 needs root: run it as root (sudo docker/engine.sh $1)"
    fi
    mkdir -p "${PIDFILE%/*}" "${LOG%/*}"
    exec 9>"$PIDFILE.lock"
    flock --timeout 600 9 || fail "another engine.sh has run for 10 minutes: check it with ps"
}

main() {
    PATH=$PATH:/usr/sbin:/sbin # may be missing from the PATH of root
    (($# == 1)) || { usage >&2; exit 2; }
    case $1 in
        install)
            already_suitable && return
            check_and_lock install
            install_packages
            link_buildx
            start_engine
            report
            ;;
        start)
            already_suitable && return
            check_and_lock start
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
