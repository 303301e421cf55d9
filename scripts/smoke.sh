#!/usr/bin/env bash
# The README's own commands, as a newcomer types them: an empty home, an empty state folder, no key, no network.
# What the README shows in a fence marked sh stands here word for word (internal/layers checks it):
#	echo '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}' | ./rkat-rpc --isolated
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
box=$(mktemp -d)
trap 'chmod -R u+w "$box"; rm -rf "$box"' EXIT
out=$box/out err=$box/err failures=0

# Only the build cache is shared with the outside.
GOCACHE=$(go env GOCACHE) GOMODCACHE=$(go env GOMODCACHE) GOPROXY=$(go env GOPROXY)
export GOCACHE GOMODCACHE GOPROXY
for v in $(compgen -e); do
  case $v in
  PATH | TMPDIR | GO* | RKAT_CI | _) ;;
  *) unset "$v" ;;
  esac
done
mkdir -p "$box/home" "$box/bin" "$box/folder/sub" "$box/empty"
export HOME=$box/home PATH="$box/bin:$PATH" RKAT_NO_PROBE=1
printf 'one\ntwo\nthree\n' >"$box/folder/notes.txt"
printf '# A report\n\nSales went up.\n' >"$box/folder/report.txt"
printf 'deep\n' >"$box/folder/sub/deep.txt"

fail() {
  failures=$((failures + 1))
  printf 'FAILED: %s\n' "$1"
  sed 's/^/  stdout: /' "$out" | head -n 20
  sed 's/^/  stderr: /' "$err" | head -n 20
}

# try EXIT COMMAND: run it as typed, and expect that exit code.
try() {
  printf '$ %s\n' "$2"
  local code=0
  (eval "$2") >"$out" 2>"$err" </dev/null || code=$?
  [ "$code" = "$1" ] || fail "exit code $code, want $1"
}

# says TEXT, warns TEXT: the last command's standard output, or standard error, holds it.
says() { grep -qF -- "$1" "$out" || fail "standard output does not say: $1"; }
warns() { grep -qF -- "$1" "$err" || fail "standard error does not say: $1"; }
silent() { [ ! -s "$out" ] || fail "standard output is not empty"; }

printf '$ go build ./cmd/rkat\n'
(cd "$top" && CGO_ENABLED=0 go build -o "$box/bin/rkat" ./cmd/rkat) || exit 1

cd "$box/folder" || exit 1
try 0 'rkat version'
says rkat

# Nothing configured: one screen that says what to set.
try 2 'rkat run "what is in this folder?"'
silent
warns ANTHROPIC_API_KEY
warns OPENAI_API_KEY
warns '--model offline'
warns 'rkat demo'
[ "$(wc -l <"$err")" -le 24 ] || fail "more than one screen"

try 0 'rkat run --model offline "what is in this folder?"'
says notes.txt
says report.txt
try 0 'rkat run --model offline --json "count the lines of notes.txt"'
says '"session_id"'
says 3
try 0 'rkat sessions'
[ "$(grep -c . "$out")" -ge 2 ] || fail "two sessions were made, and not listed"
try 0 'rkat sessions show last'
says 'count the lines of notes.txt'
try 0 'rkat resume'
silent
warns 'nothing to resume'
try 0 'rkat resume "read report.txt"'
says 'Sales went up'
try 0 'rkat models'
says offline
says rehearsal
try 0 'rkat doctor'

# As a daemon, and at one.
printf '$ %s\n' 'RKAT_MODEL=offline rkat serve &'
{ RKAT_MODEL=offline rkat serve & daemon=$!; } 2>"$box/serve.err"
trap 'kill "$daemon" 2>/dev/null; chmod -R u+w "$box"; rm -rf "$box"' EXIT
for _ in $(seq 100); do curl -sf http://127.0.0.1:8080/readyz >/dev/null && break; sleep 0.1; done
try 0 'rkat run --server http://127.0.0.1:8080 --tools workspace --workspace "$PWD" "what is in this folder?"'
says notes.txt
try 0 'rkat attach --server http://127.0.0.1:8080 --once'
try 0 'curl -s http://127.0.0.1:8080/sessions'
says '"session_id"'
try 0 'curl -s http://127.0.0.1:8080/'
says '<!doctype html>'
kill -TERM "$daemon"
wait "$daemon" || fail "rkat serve ended with $?"
try 0 'ln -sf "$(command -v rkat)" rkat-rpc'
try 0 'echo '"'"'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}'"'"' | ./rkat-rpc --isolated'
says '"contract_version":"0.6.29"'
rm rkat-rpc

# Wrong use says so and touches nothing.
try 2 'rkat run --model offline ""'
try 2 'rkat run --no-such-flag x'
try 1 'rkat run --model nosuch/model x'
warns nosuch

# In an empty folder, and in one that cannot be written.
cd "$box/empty" || exit 1
began=$SECONDS
try 0 'rkat demo'
[ $((SECONDS - began)) -le 15 ] || fail "the demo took $((SECONDS - began)) seconds"
[ -z "$(ls -A)" ] || fail "the demo left files in the folder: $(ls -A)"

# From the clone, as the README begins.
cd "$top" || exit 1
try 0 'go run ./cmd/rkat run --model offline "what is in this folder?"'
says README.md
try 0 'go run ./cmd/rkat demo'
try 0 'go run ./examples/embed'
says README.md

if [ "$failures" -gt 0 ]; then
  printf 'smoke: %d failures\n' "$failures"
  exit 1
fi
printf 'smoke: ok\n'
