#!/bin/sh
# The image mlflows-base:bookworm: Debian with python3, venv, pip and the certificates this machine trusts. Made from packages, as no
# registry of images can be relied upon. About a minute; made again only when it is gone.
. "$(dirname "$0")/common.sh"

image=mlflows-base:bookworm
suite=bookworm

alone base_image
docker image inspect "$image" >/dev/null 2>&1 && exit 0
sh "$here/docker_engine.sh" 9>&-
need debootstrap debootstrap

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' 2>/dev/null | head -n 1)
case $mirror in http*) ;; *) mirror=http://deb.debian.org/debian ;; esac # debootstrap knows none of apt's other ways
root=$state/base_image
clear_root() { # an interrupted debootstrap may leave its mounts
    umount "$root/proc" "$root/sys" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
clear_root
trap clear_root EXIT
trap 'exit 1' INT TERM

# a machine that loses power has no use for half an image either: no sync after every file
mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"

tell "$image from $mirror"
packages=python3,python3-venv,python3-pip,ca-certificates
# behind everybody else on the machine: tests that need no image run meanwhile
nice debootstrap --variant=minbase --include=$packages $suite "$root" "$mirror" >"$state/base_image.log" 2>&1 9>&- || {
    tail -n 20 "$state/base_image.log" >&2
    exit 1
}
rm "$root/etc/dpkg/dpkg.cfg.d/unsafe-io"

# what the machine trusts, the containers trust, for those who read the file and for those who look a certificate up by its hash
mkdir -p "$root/usr/local/share/ca-certificates"
find /usr/local/share/ca-certificates -name '*.crt' -exec cp {} "$root/usr/local/share/ca-certificates" \;
chroot "$root" update-ca-certificates >>"$state/base_image.log" 2>&1
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

certificates=/etc/ssl/certs/ca-certificates.crt
tar -C "$root" --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./proc/*' --exclude='./sys/*' -c . |
    docker import --change "ENV SSL_CERT_FILE=$certificates REQUESTS_CA_BUNDLE=$certificates PIP_CERT=$certificates" \
        --change 'CMD ["bash"]' - "$image" >/dev/null
tell "$image made"
