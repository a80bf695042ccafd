#!/bin/sh
# The library exports the functions of its headers and nothing else, without symbol versions, under its SONAME, stays in
# memory after dlclose, and needs nothing but the base system.
#
# usage: symbols.sh LIBRARY INCLUDE_FOLDER C_COMPILER
set -eu

library=$1
include=$2
compiler=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "failed: $1" >&2
    failed=1
}

# Function declarations as the compiler sees them: without comments, and only those of our own two files.
for header in wasi_nn_llama.h wasi_nn_llama_ext.h; do
    printf '#include "%s"\n' "$include/$header" | "$compiler" -E -x c - |
        awk -v file="$header" '/^# [0-9]+ / { mine = index($3, "/" file "\"") > 0; next } mine' |
        tr '\n' ' ' | sed 's/__attribute__((visibility("default")))/ /g' | tr ';{}' '\n\n\n' |
        grep -v typedef | sed -n 's/^[^(]*[ *]\([a-z_0-9]*\) *(.*/\1/p'
done | sort >"$work/declared"

nm -D --defined-only --format=posix "$library" | cut -d ' ' -f 1 | sort >"$work/exported"

count=$(wc -l <"$work/declared")
echo "$count functions declared"
[ "$count" -ge 24 ] || fail "the headers must declare at least 24 functions"
[ "$(grep -vc '^wasi_nn_' "$work/declared")" -eq 14 ] || fail "the frozen header must declare 14 functions"
diff "$work/declared" "$work/exported" || fail "declared (<) and exported (>) functions differ"

readelf --dynamic --wide "$library" >"$work/dynamic"
grep -q 'SONAME.*\[libwasi_nn_backend\.so\]' "$work/dynamic" || fail "SONAME must be libwasi_nn_backend.so"
grep -q 'FLAGS_1.*NODELETE' "$work/dynamic" || fail "the library must be linked with -z nodelete"
! grep -q 'VERDEF' "$work/dynamic" || fail "exported symbols must have no versions"

needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic")
for name in $needed; do
    case $name in
    libc.so.* | libm.so.* | libgcc_s.so.* | libstdc++.so.* | libpthread.so.* | libdl.so.* | librt.so.* | ld-linux*) ;;
    *) fail "$name is not part of the base system" ;;
    esac
done
ldd -r "$library" >"$work/ldd" 2>&1 || fail "ldd failed"
! grep -E 'undefined symbol|not found' "$work/ldd" || fail "undefined symbols"

[ "$failed" -eq 0 ] && echo "symbols are as declared"
exit "$failed"
