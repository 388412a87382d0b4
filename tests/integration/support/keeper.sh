#!/bin/sh
# Runs a server for a test and lets nothing of it outlive the test, however the test ends.
#
#   keeper.sh LOG PROGRAM [ARGUMENT...]
#
# The first line of the output is the server's process id. The test holds the other end of the
# standard input. On a line, or when it closes because the test is gone, the server and its children
# are killed, stopped ones too; when the test is gone, so is the working directory, a temporary one.
# Ends when the server has ended, with its status.
log=$1
shift
dir=$(pwd -P)

# The system hangs up on a stopped server when its owner goes; the keeper has to stay.
trap '' HUP INT TERM

exec 3<&0
"$@" </dev/null >>"$log" 2>&1 3<&- &
server=$!
echo "$server"
exec >/dev/null

(
    read -r _ <&3 || touch gone
    # Stopped first, so that it bears no more children; asked twice for one that was being born.
    kill -STOP "$server"
    for _ in 1 2; do
        # shellcheck disable=SC2046 # one argument a process
        kill -KILL $(pgrep -P "$server")
    done
    kill -KILL "$server"
) &
guard=$!

wait "$server"
ended=$?
kill -KILL "$guard"

# A PostgreSQL that was killed leaves a segment of shared memory behind, of which there are few.
segment=$(sed -n '7s/.* //p' data/postmaster.pid)
if [ -n "$segment" ]; then ipcrm -m "$segment"; fi

if [ -e gone ]; then cd / && rm -rf -- "$dir"; fi
exit "$ended"
