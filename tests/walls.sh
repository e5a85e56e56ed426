#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Checks the walls between the rooms of the tree: who may include whom, and what the sans-IO rooms may touch.
set -euo pipefail

usage() {
    cat <<'END'
Usage: tests/walls.sh [--self-test | DIRECTORY]

Checks the tree at DIRECTORY (default: this one); prints each broken wall as file:line: what; exits 1 if there is one.
--self-test plants violations in copies of a small tree and fails unless each is caught.
END
}

check() {
    (cd "$1" && find . -path ./build -prune -o -name '*.[ch]' -printf '%P\n' | LC_ALL=C sort | perl -e '
use strict;
use warnings;

# Which rooms a room may include. Those not named here (tests, bindings) may include any.
my %may = (
    "engine/base" => "engine/base",
    "engine/wire" => "engine/wire engine/base",
    "engine/flow" => "engine/flow engine/wire engine/base",
    "engine/path" => "engine/path engine/base",
    "engine/nic" => "engine/nic engine/path engine/wire engine/base",
    "engine" => "engine engine/base engine/wire engine/flow engine/path engine/nic capi/channel capi/include",
    "capi/channel" => "capi/channel capi/include",
    "capi/client" => "capi/client capi/channel capi/include",
    "capi/tools" => "capi/tools capi/channel capi/include",
    "examples" => "examples capi/include",
);
my $sans_io = qr{^engine/(?:wire|flow|path)$};
my $io_header = qr{^(?:sys/(?!queue\.h|types\.h|cdefs\.h).*|linux/.*|unistd\.h|time\.h|pthread\.h|threads\.h
    |fcntl\.h|poll\.h|signal\.h|netdb\.h|event2?/.*|event\.h|jansson\.h|syslog\.h)$}x;
my $io_call = join "|", qw(
    clock_gettime clock gettimeofday time times nanosleep usleep sleep
    rand rand_r srand random srandom drand48 lrand48 getrandom getentropy arc4random
    socket bind connect listen accept accept4 send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg
    setsockopt getsockopt poll ppoll select epoll_wait eventfd
    open openat creat close read readv pread write writev pwrite ioctl fcntl syscall
    mmap munmap mremap madvise memfd_create ftruncate fallocate
    printf vprintf fprintf vfprintf puts fputs putchar perror fopen fread fwrite syslog getenv
    pthread_\w+ thrd_\w+ fork execve kill raise exit _exit);

sub room {
    my ($file) = @_;
    return $1 if $file =~ m{^((?:engine|capi)/[^/]+)/};
    return $file =~ m{^([^/]+)/} ? $1 : "";
}

# Comments and the insides of strings become blanks; line numbers stay.
sub code_of {
    my ($text) = @_;
    my $blank = sub { my $s = shift; $s =~ s/[^\n]/ /g; $s };
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|\x27(?:\\.|[^\x27\\\n])*\x27)}
              {defined $1 ? $blank->($1) : $2}gse;
    $text =~ s{^(?!\s*\#\s*include)(.*)$}{my $l = $1; $l =~ s/"(?:\\.|[^"\\\n])*"/""/g; $l}gme;
    return $text;
}

my $broken = 0;
my ($file, $number);
sub complain { print "$file:$number: $_[0]\n"; $broken++; }

while ($file = <STDIN>) {
    chomp $file;
    open my $in, "<", $file or die "$file: $!\n";
    my $text = do { local $/; <$in> };
    close $in;
    $number = 1;
    complain("no SPDX-License-Identifier: MIT at the top")
        unless ($text // "") =~ m{\A(?:[^\n]*\n)?[^\n]*SPDX-License-Identifier: MIT\b};
    my $room = room($file);
    my ($directory) = $file =~ m{^(.*)/};
    $number = 0;
    for my $line (split /\n/, code_of($text // "")) {
        $number++;
        if ($line =~ /^\s*#\s*include\s*([<"])([^>"]+)[>"]/) {
            my ($quote, $header) = ($1, $2);
            my @places = map { "$_/$header" } "engine", "capi", "capi/include";
            unshift @places, "$directory/$header" if $quote eq q{"};
            my ($target) = grep { -e } @places;
            if (defined $target) {
                1 while $target =~ s{[^/]+/\.\./}{};
                my $to = room($target);
                complain("$room must not include $to ($header)")
                    if exists $may{$room} && !grep { $_ eq $to } split / /, $may{$room};
            } elsif ($room =~ $sans_io && $header =~ $io_header) {
                complain("$room is sans-IO and must not include <$header>");
            }
        }
        complain("rte_ belongs in engine/nic/nic_dpdk*.c alone")
            if $line =~ /\brte_/i && $file !~ m{^(?:engine/nic/nic_dpdk\w*\.c|engine/nic/nic_dpdk_internal\.h|tests/.*|bindings/.*)$};
        complain("$room is sans-IO and must not call $1()")
            if $room =~ $sans_io && $line =~ /(?<![\w.>])($io_call)\s*\(/;
        complain("volatile: use C11 atomics")
            if $line =~ /\bvolatile\b/ && $line !~ /\b(?:__)?asm(?:__)?\s+volatile\b/;
    }
}
exit($broken ? 1 : 0);
')
}

# plant <what> <file> <line>: adds the line to a good tree, and expects a complaint about that file.
plant() {
    local what=$1 file=$2 line=$3 tree output
    tree=$scratch/$((++planted))
    cp -r "$scratch/good" "$tree"
    [ -e "$tree/$file" ] || echo '/* SPDX-License-Identifier: MIT */' >"$tree/$file"
    echo "$line" >>"$tree/$file"
    if output=$(check "$tree"); then
        echo "walls.sh: not caught: $what" >&2
        missed=$((missed + 1))
    elif ! grep -q "^$file:" <<<"$output"; then
        echo "walls.sh: $what: wrong complaint: $output" >&2
        missed=$((missed + 1))
    fi
}

self_test() {
    local room file
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    planted=0 missed=0
    for room in engine/base engine/wire engine/flow engine/path engine/nic capi/channel capi/client capi/tools \
        capi/include/machnet examples tests; do
        mkdir -p "$scratch/good/$room"
    done
    for file in engine/worker.h engine/base/bits.h engine/wire/wire.h engine/flow/flow.h engine/path/path.h \
        engine/nic/nic.h capi/channel/ring.h capi/client/client.h capi/include/machnet/machnet.h; do
        echo '/* SPDX-License-Identifier: MIT */' >"$scratch/good/$file"
    done
    cat >"$scratch/good/engine/flow/flow.c" <<'END'
/* SPDX-License-Identifier: MIT */
/* A comment may say time(NULL), volatile and rte_mbuf. */
#include "flow/flow.h"
#include "wire/wire.h"
#include <stdlib.h>
const char *text = "read(fd), volatile, rte_mbuf"; // so may a string: open()
int f(struct ops *o) { return o->send(o) + o->time(o) + my_read(1) + flow_time(2); }
END
    cat >"$scratch/good/engine/worker.c" <<'END'
/* SPDX-License-Identifier: MIT */
#include "worker.h"
#include "channel/ring.h"
#include "flow/flow.h"
#include <time.h>
long f(void) { __asm__ volatile("pause"); return time(0); }
END
    printf '/* SPDX-License-Identifier: MIT */\nint rte_eal_init(void);\n' >"$scratch/good/engine/nic/nic_dpdk.c"
    check "$scratch/good" || { echo "walls.sh: complaints about a good tree" >&2; missed=1; }

    plant 'rte_ outside nic_dpdk*.c' engine/nic/nic_udp.c 'int rte_eal_init(void);'
    plant 'rte_ in the header that others include' engine/nic/nic_dpdk.h '#include <rte_mbuf.h>'
    plant 'rte_ header outside nic_dpdk*.c' engine/worker.c '#include <rte_mbuf.h>'
    for room in wire flow path; do
        plant "clock in $room" engine/$room/x.c 'long f(void) { return clock_gettime(0, 0); }'
        plant "time in $room" engine/$room/x.c 'long f(void) { return time (0); }'
        plant "random in $room" engine/$room/x.c 'int f(void) { return random(); }'
        plant "system call in $room" engine/$room/x.c 'int f(void) { return read(0, 0, 0); }'
        plant "mmap in $room" engine/$room/x.h 'static void *f(void) { return mmap(0); }'
        plant "output in $room" engine/$room/x.c 'void f(void) { printf("x"); }'
        for file in sys/socket.h unistd.h time.h pthread.h; do
            plant "<$file> in $room" engine/$room/x.c "#include <$file>"
        done
        plant "$room includes nic" engine/$room/x.c '#include "nic/nic.h"'
        plant "$room includes nic by a relative path" engine/$room/x.c '#include "../nic/nic.h"'
        plant "$room includes channel" engine/$room/x.c '#include "channel/ring.h"'
        plant "$room includes worker" engine/$room/x.c '#include "worker.h"'
    done
    plant 'wire includes flow' engine/wire/x.c '#include "flow/flow.h"'
    plant 'wire includes path' engine/wire/x.c '#include "path/path.h"'
    plant 'flow includes path' engine/flow/x.c '#include "path/path.h"'
    plant 'base includes wire' engine/base/x.c '#include "wire/wire.h"'
    plant 'nic includes flow' engine/nic/x.c '#include "flow/flow.h"'
    plant 'channel includes engine' capi/channel/x.c '#include "../../engine/base/bits.h"'
    plant 'channel includes base' capi/channel/x.c '#include "base/bits.h"'
    plant 'client includes engine' capi/client/x.c '#include <wire/wire.h>'
    plant 'channel includes client' capi/channel/x.c '#include "client/client.h"'
    plant 'engine includes client' engine/worker.c '#include "client/client.h"'
    plant 'example includes channel' examples/x.c '#include "channel/ring.h"'
    plant 'volatile' capi/channel/ring.h 'extern volatile int x;'
    printf 'int x;\n' >"$scratch/good/tests/x.c"
    plant 'no licence line' tests/x.c ''
    echo "walls.sh: $planted violations planted, $missed missed"
    [ "$missed" -eq 0 ]
}

case ${1:-} in
    -h | --help) usage ;;
    --self-test) self_test ;;
    -*) usage >&2; exit 2 ;;
    *)
        tree=${1:-$(dirname "$0")/..}
        [ -d "$tree/engine" ] || { echo "walls.sh: no engine/ in $tree" >&2; exit 2; }
        check "$tree" ;;
esac
