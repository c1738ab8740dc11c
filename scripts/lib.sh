# Shared by the scripts: where the workspace is, and what a fresh Debian or Ubuntu lacks. Source it.
# shellcheck shell=bash

# The scripts work from any folder.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

# Where cargo puts what it builds.
# shellcheck disable=SC2034  # the scripts use it
target=${CARGO_TARGET_DIR:-target}

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Installs packages, saying which; nothing is asked.
install_packages() {
    local as_root=()
    have apt-get || die "missing: $*; install them with this system's package manager and start again"
    if [[ $EUID -ne 0 ]]; then
        have sudo || die "missing: $*; install them as root and start again: apt-get install $*"
        as_root=(sudo -n)
    fi
    as_root+=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
    say "Installing with apt-get: $*"
    "${as_root[@]}" update >/dev/null || say "apt-get update failed; trying with the lists that are there"
    "${as_root[@]}" install --no-install-recommends "$@" >/dev/null \
        || die "apt-get could not install $*; install them and start again"
}

# The compilers: Rust as rust-toolchain.toml says, C because SQLite is compiled along, C++ and make because librdkafka is.
need_compilers() {
    local missing=()
    have cc || missing+=(gcc libc6-dev)
    have c++ || missing+=(g++)
    have make || missing+=(make)
    if ! have cargo && [[ -f "$HOME/.cargo/env" ]]; then
        # shellcheck source=/dev/null
        source "$HOME/.cargo/env"
    fi
    if ! have cargo; then
        have curl || missing+=(curl)
        [[ -e /etc/ssl/certs/ca-certificates.crt ]] || missing+=(ca-certificates)
    fi
    [[ ${#missing[@]} -eq 0 ]] || install_packages "${missing[@]}"
    if ! have cargo; then
        say "Installing Rust with rustup, for this user only"
        curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs \
            | sh -s -- -y -q --profile minimal --default-toolchain none --no-modify-path \
            || die "rustup could not be installed; install Rust and start again"
        # shellcheck source=/dev/null
        source "$HOME/.cargo/env"
    fi
    cargo --version >/dev/null 2>&1 || install_toolchain
}

# What scripts/test needs beside a compiler.
need_lints() {
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        install_toolchain
    fi
    # The feature `kafka-ssl` is linked to OpenSSL.
    have pkg-config || install_packages pkg-config
    pkg-config --exists libssl || install_packages libssl-dev
}

install_toolchain() {
    have rustup || die "this cargo lacks the toolchain of rust-toolchain.toml with rustfmt and clippy; install rustup"
    say "Installing the toolchain of rust-toolchain.toml with rustup"
    rustup toolchain install || die "rustup could not install the toolchain of rust-toolchain.toml"
}
