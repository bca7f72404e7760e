#!/bin/sh
# build.sh FOLDER: Android's adbd, from the source package of Debian 12, as FOLDER/adbd.
#
# Debian ships no adbd, but android-platform-tools holds its source. Needs: dpkg-dev g++ patch
# android-libbase-dev android-libboringssl-dev android-libcutils-dev android-liblog-dev libcap-dev
set -eu
recipe=$(dirname "$(realpath "$0")")
mkdir -p "$1"
target=$(realpath "$1")/adbd
version=29.0.6
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

fetch() {
    mkdir -p lists/partial
    echo 'deb-src http://deb.debian.org/debian bookworm main' > sources.list
    # Package lists of our own: the system's usually leave sources out.
    set -- -q -o Dir::Etc::sourcelist="$PWD/sources.list" -o Dir::Etc::sourceparts=- \
        -o Dir::State::lists="$PWD/lists" -o Dir::Cache="$PWD" -o APT::Sandbox::User=
    apt-get "$@" update
    apt-get "$@" source --download-only android-platform-tools=$version-28
    tar -xf android-platform-tools_$version.orig.tar.gz
    tar -xf android-platform-tools_$version-28.debian.tar.xz
}

prepare() {
    for patch in $(grep '^system/' ../debian/patches/series); do
        patch -p1 -s < "../debian/patches/$patch"
    done
    # errno is only worth looking at after a failure: otherwise "tcp:localhost:PORT" is refused.
    sed -i 's/if (\(errno == EAFNOSUPPORT .*EPROTONOSUPPORT\)) {/if (serverfd == -1 \&\& (\1)) {/' \
        system/core/adb/transport_local.cpp
    # A phone's shell is mksh, not what /bin/sh is here.
    sed -i '/"-c"/s/execle(_PATH_BSHELL/execle(getenv("ADBD_SHELL") ?: _PATH_BSHELL/' \
        system/core/adb/daemon/shell_service.cpp
}

compile() {
    flags="-fPIC -O1 -w -D_GNU_SOURCE -DNDEBUG -DADB_HOST=0 -DALLOW_ADBD_ROOT=1
        -DALLOW_ADBD_NO_AUTH -DADB_VERSION=\"$version\" -DPLATFORM_TOOLS_VERSION=\"$version\"
        -include $recipe/prelude.h -I/usr/include/android"
    for folder in adb adb/daemon/include adb/adbconnection/include base/include \
        diagnose_usb/include include libcrypto_utils/include libcutils/include liblog/include \
        libasyncio/include; do
        flags="$flags -Isystem/core/$folder"
    done
    flags="$flags -Iframeworks/native/libs/adbd_auth/include"
    mkdir -p objects
    { cat "$recipe/sources.txt"; echo "$recipe/properties.cpp"; } |
        FLAGS=$flags xargs -P "$(nproc)" -I{} sh -ec '
            object=objects/$(echo "{}" | tr / _).o
            case {} in
                *.c) gcc $FLAGS -c {} -o "$object" ;;
                *) g++ -std=gnu++2a -fno-exceptions -fno-strict-aliasing $FLAGS -c {} -o "$object" ;;
            esac'
    libraries=/usr/lib/$(gcc -print-multiarch)/android
    g++ -o ../adbd objects/*.o -L"$libraries" -Wl,-rpath="$libraries" \
        -lbase -lcrypto -lcutils -llog -lpthread -lresolv -lutil
}

fetch
cd android-platform-tools-$version
prepare
compile
mv ../adbd "$target"
