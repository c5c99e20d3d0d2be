# shellcheck shell=bash disable=SC2154
# The network of a cluster in a box. Its callers set: prefix (of the namespaces' names).
# SPDX-License-Identifier: Apache-2.0
#
# Each node is a namespace with one end of a veth pair as eth0; the other ends are ports of a bridge in a namespace of its own.
# Nothing joins it to this machine's network, so clusters cannot meet, whatever their addresses. Both ends of a pair are
# shaped (tbf), so a link has its rate in each direction.

readonly storage_address=10.77.255.1

# What the nodes share of the kernel. Its table of neighbours: two clusters of 64 nodes overflow the usual 1,024 entries, and lose packets.
# A user's inotify instances: each node's supervisor needs one, and there are 128. The limits are the whole machine's; they are raised where
# they are lower, and stay so.
raise_limits() {
    local limit file
    for limit in net/ipv4/neigh/default/gc_thresh2:32768 net/ipv4/neigh/default/gc_thresh3:65536 fs/inotify/max_user_instances:8192; do
        file=/proc/sys/${limit%:*}
        [[ ! -w $file ]] || (($(<"$file") >= ${limit#*:})) || printf '%s\n' "${limit#*:}" >"$file"
    done
}

# make_network NODES RATE STORAGE_RATE
make_network() {
    local nodes=$1 rate=$2 storage_rate=$3 switch=$prefix-switch i
    raise_limits
    ip netns add "$switch"
    ip -n "$switch" link add bridge type bridge
    ip -n "$switch" link set bridge up
    for ((i = 0; i < nodes; i++)); do
        add_node "node$i" "10.77.0.$((i + 1))" "$rate"
    done
    add_node storage "$storage_address" "$storage_rate"
}

# add_node NAME ADDRESS RATE. One batch a namespace: a process for each step would take longer than many an experiment.
add_node() {
    local node=$1 space=$prefix-$1 switch=$prefix-switch
    ip netns add "$space"
    ip -n "$switch" -batch - <<END
link add to-$node type veth peer name eth0 netns $space
link set to-$node master bridge
link set to-$node up
END
    ip -n "$space" -batch - <<END
addr add $2/16 dev eth0
link set eth0 up
link set lo up
END
    tc -n "$switch" qdisc add dev "to-$node" root tbf rate "$3" burst 128kb limit 1mb
    tc -n "$space" qdisc add dev eth0 root tbf rate "$3" burst 128kb limit 1mb
}

# (Of another cluster that goes meanwhile ip complains.)
namespaces() {
    ip netns list 2>/dev/null | awk -v prefix="$prefix-" 'index($1, prefix) == 1 { print $1 }'
}

# Every process in the cluster's namespaces, but for the caller itself.
processes() {
    local space
    for space in $(namespaces); do
        ip netns pids "$space"
    done | sort -u | grep -vx "$$" || true
}

# First by TERM, so that launches can tidy up; after five seconds by KILL.
end_processes() {
    local -a pids
    local tries signal=TERM
    for ((tries = 0; tries < 200; tries++)); do
        mapfile -t pids < <(processes)
        ((${#pids[@]})) || return 0
        ((tries < 50)) || signal=KILL
        ((tries % 10)) || kill -s "$signal" "${pids[@]}" 2>/dev/null || true
        sleep 0.1
    done
    log "these processes do not end: ${pids[*]}"
    return 1
}

remove_network() {
    local space
    for space in $(namespaces); do
        ip netns del "$space"
    done
}

# Bytes that the storage node has sent since it came up, on the wire.
bytes_served() {
    [[ -e /run/netns/$prefix-storage ]] || die "there is no cluster named $name"
    nsenter --net="/run/netns/$prefix-storage" awk '$1 == "eth0:" { print $10 }' /proc/net/dev
}

# Mbit/s of one TCP stream from storage to node0 in two seconds.
link_rate() {
    local port=10900 sender
    [[ -e /run/netns/$prefix-node0 ]] || die "there is no cluster named $name"
    nsenter --net="/run/netns/$prefix-storage" python3 -c '
import socket, sys
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    server.settimeout(20)
    peer, _ = server.accept()
    try:
        while True: peer.sendall(bytes(1 << 18))
    except OSError: pass' "$storage_address" "$port" &
    sender=$!
    nsenter --net="/run/netns/$prefix-node0" python3 -c '
import socket, sys, time
for attempt in range(200):
    try: peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); break
    except OSError: time.sleep(0.05)
def take(seconds):
    begin, total = time.monotonic(), 0
    while time.monotonic() < begin + seconds: total += len(peer.recv(1 << 18))
    return total * 8e-6 / (time.monotonic() - begin)
take(0.5)
print(f"{take(2):.1f}")' "$storage_address" "$port"
    wait "$sender"
}
