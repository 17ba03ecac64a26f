#!/usr/bin/env bash
# Runs the scenarios at the sizes below and writes what they showed to docs/results/: the command, the seed, the table.
# SIM_SCENARIOS="evening churn" runs some of them only; SIM_SIZE=0.1 runs all with a tenth of the viewers;
# SIM_THREADS=1 keeps cores free; SIM_BINARY=FILE takes another build.
set -euo pipefail
cd "$(dirname "$0")/.."
sim=${SIM_BINARY:-${CARGO_TARGET_DIR:-target}/release/braidcast-sim}
threads=${SIM_THREADS:-$(nproc)}
size=${SIM_SIZE:-1}
mkdir -p docs/results .cache/sim

sizes="small-channel 3
evening 2000
churn 2000
flash-crowd 20000
as-outage 2000
rendezvous-outage 1000
polluters 2000
poor-uplinks 2000
isp-repeaters 2000
match-night 100000"

while read -r name full; do
    [[ -z ${SIM_SCENARIOS:-} || " $SIM_SCENARIOS " == *" $name "* ]] || continue
    viewers=$(awk -v n="$full" -v s="$size" 'BEGIN { v = int(n * s); print (v < 3 ? 3 : v) }')
    # Chance has its part: what is quick is run with three seeds.
    seeds=$((viewers <= 2000 ? 3 : 1))
    run="braidcast-sim run sim/scenarios/$name.toml --viewers $viewers --seeds $seeds"
    echo "$run"
    table=$("$sim" run "sim/scenarios/$name.toml" --viewers "$viewers" --seeds "$seeds" --threads "$threads" \
        --report ".cache/sim/$name.json" --html ".cache/sim/$name.html")
    {
        echo "# $name"
        echo
        sed -n 's/^about = "\(.*\)"/\1./p' "sim/scenarios/$name.toml"
        echo
        echo "\`$run\` at $(git describe --always --dirty --exclude '*' 2>/dev/null || echo unknown), $threads thread(s)"
        echo
        echo "$table"
    } >"docs/results/$name.md"
done <<<"$sizes"
