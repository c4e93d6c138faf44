#!/bin/sh
# Kills a training at random moments and compares what becomes of it with an undisturbed one:
# scripts/kill-training.sh [KILLS] [SEED]. KILLS is 100 by default, SEED the current time.
#
# The program `resume` of the examples saves its state every 3 steps and after every epoch, and that
# of the best epoch. It is started, killed (SIGKILL) after a random time, and started again with the
# same command until it ends by itself; its final and its best weights must be those of the
# undisturbed run, bit for bit, and its log that of this run but for the times. After every 10th
# kill, the newest checkpoint is damaged before the restart. At the end, a directory that cannot be
# written and a full disk, at the start and during a training, must be errors that leave the earlier
# checkpoints as they are, and a second start must succeed; so must one after Ctrl-C.
set -eu
if test "${1:-}" = --help; then sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit; fi
cd "$(dirname "$0")/.."
kills="${1:-100}"
seed="${2:-$(date +%s)}"
if test -z "${NEURAX_RESUME_PROGRAM:-}"; then
  cargo build -q --release -p neurax-examples --example resume
  NEURAX_RESUME_PROGRAM=target/release/examples/resume
fi
program=$(realpath "$NEURAX_RESUME_PROGRAM")
epochs=4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export RUST_BACKTRACE=0

fail() {
  echo "FAILED (seed $seed): $*"
  exit 1
}

# The lines of a log without times.
lines() {
  sed 's/"time":[^,]*,//; s/,"seconds":.*//' "$1/metrics.jsonl"
}

# A random number of milliseconds below $1: a linear congruential generator.
state=$seed
random() {
  state=$(((state * 1103515245 + 12345) % 2147483648))
  echo $((state / 65536 % $1))
}

seconds() {
  printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000))
}

start=$(date +%s%3N)
"$program" "$work/whole" $epochs >"$work/whole.txt" || fail "the undisturbed run"
length=$(($(date +%s%3N) - start))
want=$(grep weights "$work/whole.txt")
echo "seed $seed, $kills kills; undisturbed: $want in $length ms"

killed=0
damaged=0
runs=0
while test $killed -lt "$kills"; do
  runs=$((runs + 1))
  directory="$work/run"
  rm -rf "$directory"
  while :; do
    "$program" "$directory" $epochs >"$work/out.txt" 2>"$work/err.txt" &
    child=$!
    state=$(((state * 1103515245 + 12345) % 2147483648))
    sleep "$(seconds $((state / 65536 % length)))"
    if kill -9 $child 2>"$work/kill.txt"; then
      killed=$((killed + 1))
    fi
    if wait $child 2>"$work/kill.txt"; then
      break
    elif test $? -ne 137; then
      fail "the run ended by itself: $(cat "$work/err.txt")"
    fi
    count=$(find "$directory/checkpoints" -maxdepth 1 -name 'step-*' 2>"$work/kill.txt" | wc -l)
    if test $((killed % 10)) -eq 0 && test "$count" -ge 2; then
      newest=$(find "$directory/checkpoints" -maxdepth 1 -name 'step-*' | sort | tail -1)
      truncate -s 1000 "$newest/tensors.safetensors"
      damaged=$((damaged + 1))
    fi
  done
  got=$(grep weights "$work/out.txt")
  test "$got" = "$want" || fail "run $runs: expected $want, got $got"
  lines "$directory" >"$work/lines"
  lines "$work/whole" | cmp -s - "$work/lines" || fail "run $runs: another log"
done
echo "$killed kills in $runs runs, $damaged damaged checkpoints: all runs ended with these weights"

# A directory that cannot be written: a file is in its place, which stops root, too.
mkdir "$work/file"
: >"$work/file/checkpoints"
"$program" "$work/file" 1 >"$work/out.txt" 2>&1 && fail "a file in place of the checkpoints"
grep -q "checkpoints" "$work/out.txt" || fail "no clear error: $(cat "$work/out.txt")"
rm "$work/file/checkpoints"
"$program" "$work/file" 1 >"$work/out.txt" 2>&1 || fail "after the directory was repaired"

# A full disk: files of more than some KiB cannot be written. The signal is ignored, so that the
# program sees an error.
if (
  trap '' XFSZ
  ulimit -f 8
  exec "$program" "$work/full" 1
) >"$work/out.txt" 2>&1; then
  fail "a disk without space"
fi
grep -q "cannot write" "$work/out.txt" || fail "no clear error: $(cat "$work/out.txt")"
"$program" "$work/full" 1 >"$work/out.txt" 2>&1 || fail "after the disk got space"

# A disk that becomes full during a training: the checkpoints before stay as they are, and a start
# with more space goes on from them. The limit is above the size of the log.
checkpoints="$work/fills/checkpoints"
sums() {
  (cd "$checkpoints" && find . -type f | sort | xargs cksum)
}
"$program" "$work/fills" 1 >"$work/out.txt" 2>&1 || fail "before the disk becomes full"
sums >"$work/sums"
newest=$(find "$checkpoints" -maxdepth 1 -name 'step-*' | sort | tail -1)
# In blocks of 512 bytes (POSIX) or, in some shells, 1024: at most half of a state fits.
limit=$(($(wc -c <"$newest/tensors.safetensors") / 2048))
if (
  trap '' XFSZ
  ulimit -f $limit
  exec "$program" "$work/fills" $epochs
) >"$work/out.txt" 2>&1; then
  fail "a disk that becomes full"
fi
grep -q "cannot write the folder $checkpoints/" "$work/out.txt" ||
  fail "no clear error: $(cat "$work/out.txt")"
sums | cmp -s - "$work/sums" || fail "a full disk changed checkpoints"
"$program" "$work/fills" $epochs >"$work/out.txt" || fail "after the disk was full"
test "$(grep weights "$work/out.txt")" = "$want" || fail "other weights after a full disk"

# A folder that is read-only. Root may write everywhere, so that another user runs the program.
as_user=
if test "$(id -u)" -eq 0; then
  as_user="setpriv --reuid 65534 --clear-groups"
  cp "$program" "$work/program"
  chmod 755 "$work" "$work/program"
  program_of_user="$work/program"
fi
mkdir -p "$work/read-only/checkpoints"
chmod 777 "$work/read-only"
chmod 555 "$work/read-only/checkpoints"
$as_user "${program_of_user:-$program}" "$work/read-only" 1 >"$work/out.txt" 2>&1 &&
  fail "a read-only folder"
grep -q "cannot write.*Permission denied" "$work/out.txt" || fail "no error: $(cat "$work/out.txt")"
chmod 777 "$work/read-only/checkpoints"
$as_user "${program_of_user:-$program}" "$work/read-only" 1 >"$work/out.txt" 2>&1 ||
  fail "after the folder was made writable: $(cat "$work/out.txt")"

# Ctrl-C: a checkpoint, exit code 130, and the rest.
"$program" "$work/ctrl-c" $epochs >"$work/out.txt" 2>&1 &
child=$!
while ! test -d "$work/ctrl-c/checkpoints"; do sleep 0.01; done
kill -INT $child
code=0
wait $child || code=$?
test $code -eq 130 || fail "Ctrl-C: expected the exit code 130, got $code"
grep -q "^interrupted after" "$work/out.txt" || fail "Ctrl-C: $(cat "$work/out.txt")"
"$program" "$work/ctrl-c" $epochs >"$work/out.txt" || fail "after Ctrl-C"
test "$(grep weights "$work/out.txt")" = "$want" || fail "other weights after Ctrl-C"
echo "errors of the disk and Ctrl-C: as expected"
