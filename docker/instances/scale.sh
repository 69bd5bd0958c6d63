#!/bin/sh
# Scales a cloud's instance group by what the coordinator wants: the smallest loop that closes the circle where no orchestrator does.
#
#   COORDINATOR=http://HOST:8080 docker/instances/scale.sh gcloud GROUP ZONE       a Google Cloud managed instance group
#   COORDINATOR=http://HOST:8080 docker/instances/scale.sh aws GROUP               an AWS auto scaling group
#   COORDINATOR=http://HOST:8080 docker/instances/scale.sh echo GROUP              says what it would do
#
# The group's machines start with docker/coreos/mobyray-worker.bu (as Ignition) or with `docker run -d --restart=always IMAGE worker --join TOKEN`, and leave
# by SIGTERM when they are shut down: their tiles go back. The coordinator's rule has its own cool-down and bounds (docs/SCALING.md), so that this need not be clever.
# MAX (100) bounds the group once more, EVERY (10) is the pause in seconds, ROUNDS ends after so many looks.
# Only `echo` has been run; the other two follow the clouds' documentation.
set -eu
cloud=${1?expected gcloud, aws or echo} group=${2?expected the name of the group} zone=${3-}
last=

resize() {
    case $cloud in
        gcloud) gcloud compute instance-groups managed resize "$group" --zone "$zone" --size "$1" ;;
        aws) aws autoscaling set-desired-capacity --auto-scaling-group-name "$group" --desired-capacity "$1" ;;
        echo) echo "$group $1" ;;
        *) echo "scale.sh: unknown cloud '$cloud', expected gcloud, aws or echo" >&2; exit 2 ;;
    esac
}

# The number behind "desired_workers", or nothing: null, an error, no answer.
wanted() {
    curl -fsS --max-time 5 "${COORDINATOR:-http://127.0.0.1:8080}/api/v1/cluster" | sed -n 's/.*"desired_workers": *\([0-9][0-9]*\).*/\1/p' | head -n 1
}

round=0
while [ -z "${ROUNDS-}" ] || [ "$round" -lt "$ROUNDS" ]; do
    round=$((round + 1))
    now=$(wanted || true)
    if [ -n "$now" ]; then
        [ "$now" -le "${MAX:-100}" ] || now=${MAX:-100}
        if [ "$now" != "$last" ] && resize "$now"; then last=$now; fi
    fi
    sleep "${EVERY:-10}"
done
