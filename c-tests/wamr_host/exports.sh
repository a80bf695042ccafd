#!/bin/sh
# The plugin exports the functions that hosts look up and nothing else, without symbol versions, under its SONAME, stays
# in memory after dlclose, calls its own functions directly, and needs nothing
# but the base system.
#
# usage: exports.sh LIBRARY
set -eu

library=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
    echo "failed: $1" >&2
    failed=1
}

sort >"$work/expected" <<'NAMES'
compute
deinit_backend
deinit_native_lib
get_native_lib
get_output
init_backend
init_execution_context
init_native_lib
load
load_by_name
load_by_name_with_config
set_input
NAMES

nm -D --defined-only --format=posix "$library" | cut -d ' ' -f 1 | sort >"$work/exported"
diff "$work/expected" "$work/exported" || fail "expected (<) and exported (>) functions differ"

readelf --dynamic --wide "$library" >"$work/dynamic"
grep -q 'SONAME.*\[libwasi_nn_llamacpp\.so\]' "$work/dynamic" || fail "SONAME must be libwasi_nn_llamacpp.so"
grep -q 'FLAGS_1.*NODELETE' "$work/dynamic" || fail "the library must be linked with -z nodelete"
grep -Eq '\(SYMBOLIC\)|FLAGS\).*SYMBOLIC' "$work/dynamic" || fail "the library must be linked with -Bsymbolic"
! grep -q 'VERDEF' "$work/dynamic" || fail "exported symbols must have no versions"
! grep -q 'TEXTREL' "$work/dynamic" || fail "the code must not be written to when it is loaded"

needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/dynamic")
for name in $needed; do
    case $name in
    libc.so.* | libm.so.* | libgcc_s.so.* | libstdc++.so.* | libpthread.so.* | libdl.so.* | librt.so.* | ld-linux*) ;;
    *) fail "$name is not part of the base system" ;;
    esac
done
ldd -r "$library" >"$work/ldd" 2>&1 || fail "ldd failed"
! grep -E 'undefined symbol|not found' "$work/ldd" || fail "undefined symbols"

[ "$failed" -eq 0 ] && echo "the exports are those of a backend"
exit "$failed"
