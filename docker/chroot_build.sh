#!/usr/bin/env bash
# Builds docker/Dockerfile.cpu without a Docker engine: debootstrap makes a fresh Debian root, and the steps of the
# Dockerfile (there is no second copy of them) are executed in it, CMD at the end: the quickstart.
#
#   sudo docker/chroot_build.sh /tmp/aer-root
#
# As root, on a Debian or Ubuntu with debootstrap; 6 GB of disk. The root folder must not exist; it is kept.
#   MIRROR=URL      of the Debian packages
#   BIND="A B:C"    host files or folders to show inside, read-only: package folders, certificates
#   PIP_*           is passed on, for a package index of your own
set -euo pipefail
readonly ROOT=${1:?a folder to be made, such as /tmp/aer-root}
readonly MIRROR=${MIRROR:-http://deb.debian.org/debian}
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly REPOSITORY

die() {
    printf 'chroot_build: %s\n' "$*" >&2
    exit 1
}

[[ $EUID == 0 ]] || die "needs root, for debootstrap and chroot"
command -v debootstrap >/dev/null || die "needs debootstrap (apt-get install debootstrap)"
# In namespaces of its own: every mount and every process of the build ends with this script.
if [[ -z ${AER_CHROOT_UNSHARED:-} ]]; then
    [[ ! -e $ROOT ]] || die "$ROOT exists: name a folder to be made, or remove it"
    AER_CHROOT_UNSHARED=1 exec unshare --mount --pid --fork --kill-child "${BASH_SOURCE[0]}" "$ROOT"
fi

steps() { # one instruction a line: comments out, continued lines joined
    sed -E '/^[[:space:]]*#/d' "$REPOSITORY/docker/Dockerfile.cpu" |
        sed -E -e ':join' -e '/\\$/{N;s/\\\n[[:space:]]*/ /;b join' -e '}' | sed '/^[[:space:]]*$/d'
}

words() { # of an exec form, ["a", "b"]; its words must be plain
    [[ $1 =~ ^\[(\"[A-Za-z0-9_./-]+\"(, *)?)+\]$ ]] || die "cannot read $1"
    tr -d '[],"' <<<"$1"
}

mount_host() {
    mount -t proc proc "$ROOT/proc"
    mount --rbind /dev "$ROOT/dev"
    mount --rbind -o ro /sys "$ROOT/sys" # lscpu, which vLLM asks for the cores, reads it
    mount -t tmpfs -o size=2g,mode=1777 tmpfs "$ROOT/dev/shm" # as docker run --shm-size 2g
    cp /etc/resolv.conf /etc/hosts "$ROOT/etc/"
    local pair from to
    for pair in ${BIND:-}; do
        from=${pair%%:*} to=$ROOT${pair##*:}
        if [[ -d $from ]]; then mkdir -p "$to"; else mkdir -p "$(dirname "$to")" && touch "$to"; fi
        mount --bind "$from" "$to"
        mount -o remount,bind,ro "$to"
    done
}

inside() { # as the image's user, in its folder, with its environment
    local home=/root
    [[ $user == root ]] || home=/home/$user
    chroot --userspec="$user:$user" --groups="$user" "$ROOT" /usr/bin/env --ignore-environment \
        HOME="$home" LANG=C.UTF-8 "${environment[@]}" /bin/bash -o pipefail -c "cd $folder && $1"
}

copy() { # [--chown=USER:GROUP] SOURCE... DESTINATION; a folder's content is copied, as by Docker
    local arguments=() owner=root:root word
    for word in $1; do
        if [[ $word == --chown=* ]]; then owner=${word#--chown=}; else arguments+=("$word"); fi
    done
    local to=$ROOT$folder/${arguments[-1]} from
    chroot "$ROOT" install -d -o "${owner%:*}" -g "${owner#*:}" "$folder/${arguments[-1]}"
    for from in "${arguments[@]::${#arguments[@]}-1}"; do
        [[ -e $REPOSITORY/$from ]] || die "COPY $from: there is no such file"
        local base=$REPOSITORY names=("$from")
        if [[ -d $REPOSITORY/$from ]]; then base=$REPOSITORY/$from names=(.); else base=$(dirname "$base/$from") names=("${from##*/}"); fi
        tar --create --directory "$base" --exclude-from "$REPOSITORY/.dockerignore" "${names[@]}" |
            chroot --userspec="$owner" "$ROOT" tar --extract --no-same-owner --directory "${to#"$ROOT"}"
    done
}

mapfile -t instructions < <(steps)
user=root folder=/ command=
environment=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
while IFS= read -r -d '' variable; do
    [[ $variable == PIP_* ]] && environment+=("$variable")
done < <(env --null)

for instruction in "${instructions[@]}"; do
    printf '\n[%4d s] %s\n' "$SECONDS" "${instruction:0:150}"
    value=${instruction#* }
    case ${instruction%% *} in
        FROM)
            suite=${value#debian:}
            debootstrap --variant=minbase "${suite%-slim}" "$ROOT" "$MIRROR" >"$ROOT.debootstrap.log" ||
                die "debootstrap failed: $ROOT.debootstrap.log"
            mount_host
            ;;
        SHELL | HEALTHCHECK) ;; # bash with pipefail is what runs everything here
        RUN) inside "$value" || die "the step failed: RUN $value" ;;
        COPY) copy "$value" ;;
        USER) user=$value ;;
        WORKDIR) folder=$value ;;
        ENV) environment+=("$value") ;;
        ENTRYPOINT) command=$(words "$value") ;;
        CMD) command+=" $(words "$value")" ;;
        *) die "cannot execute ${instruction%% *}" ;;
    esac
done
printf '\n[%4d s] %s\n' "$SECONDS" "$command"
inside "$command" || die "the container's command failed"
printf '\n[%4d s] every step of docker/Dockerfile.cpu passed, in %s\n' "$SECONDS" "$ROOT"
