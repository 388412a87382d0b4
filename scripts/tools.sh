# The scripts source this file. It finds or installs the programs that they need.

say() { printf '\n== %s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Runs a command as root: directly, or with sudo if that needs no password. Fails otherwise.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n -- "$@"; fi
}

# Installs a Debian package without starting the services that come with it.
apt_install() {
    local policy=/usr/sbin/policy-rc.d ours='' installed=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null || return 1
        as_root chmod 755 "$policy"
        ours=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 update >&2 &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
            install --no-install-recommends "$1" >&2 || installed=1
    if [ -n "$ours" ]; then as_root rm -f "$policy"; fi
    return "$installed"
}

# Debian keeps PostgreSQL's programs off the PATH, in one directory per version, and MariaDB's server off the PATH of
# users.
has() {
    command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null || [ -x "/usr/sbin/$1" ]
}

# need PROGRAM PACKAGE WHY: finds the program or installs it from the Debian package. If neither is possible it prints
# the program and the reason, which in CI is a failure.
need() {
    if has "$1"; then return; fi
    say "$1 is missing: installing the Debian package $2"
    if command -v apt-get >/dev/null && apt_install "$2" && has "$1"; then return; fi
    if [ -n "${CI:-}" ]; then fail "$1 is missing ($3) and could not be installed"; fi
    say "$1 is missing ($3) and could not be installed: apt install $2"
}
