# shellcheck shell=bash disable=SC2154
# Slurm in a cluster in a box. Its callers set: prefix, state and node_root. SPDX-License-Identifier: Apache-2.0
#
# munged and slurmctld run on the storage node, a slurmd on each node, all with files of their own below $state/slurm. A node's
# tasks find its own storage as $VMILAUNCH_NODE_DIR and, for programs that name one path on all nodes (sbcast), bound to $state/local.

# start_slurm NODES
start_slurm() {
    local nodes=$1 i
    need_commands munged slurmctld slurmd srun
    mkdir -p "$state/local" "$state/slurm/state"
    head -c 128 /dev/urandom >"$state/slurm/munge.key"
    chmod 600 "$state/slurm/munge.key"
    printf '#!/bin/sh\necho "export VMILAUNCH_NODE_DIR=%s/$SLURMD_NODENAME"\n' "$node_root" >"$state/slurm/task-prolog"
    chmod 755 "$state/slurm/task-prolog"
    slurm_configuration "$nodes" >"$state/slurm/slurm.conf"
    export SLURM_CONF=$state/slurm/slurm.conf
    on_storage munged --foreground --force --num-threads=2 --socket="$state/slurm/munge.socket" --key-file="$state/slurm/munge.key" \
        --pid-file="$state/slurm/munge.pid" --log-file="$state/slurm/munge.log" --seed-file="$state/slurm/munge.seed"
    wait_for 20 "munged's socket" test -S "$state/slurm/munge.socket"
    on_storage slurmctld -D -i
    for ((i = 0; i < nodes; i++)); do
        mkdir -p "$state/slurm/spool-node$i" "$state/slurm/tmp-node$i" "$node_root/node$i"
        "$self" _slurmd --name "$name" "node$i" </dev/null >"$state/slurm/node$i.out" 2>&1 &
    done
    wait_for 60 "$nodes idle nodes (see $state/slurm)" slurm_is_idle "$nodes"
}

# A daemon on the storage node.
on_storage() {
    setsid nsenter --net="/run/netns/$prefix-storage" unshare --uts sh -c 'hostname storage && exec "$@"' sh "$@" \
        </dev/null >"$state/slurm/$1.out" 2>&1 &
}

# Becomes the slurmd of a node.
slurmd_of() {
    local node=$1
    export SLURM_CONF=$state/slurm/slurm.conf
    exec setsid nsenter --net="/run/netns/$prefix-$node" unshare --uts --mount sh -c \
        'hostname "$0" && mount --bind "$1" "$2" && exec slurmd -D -N "$0"' "$node" "$node_root/$node" "$state/local"
}

slurm_is_idle() {
    (($(nsenter --net="/run/netns/$prefix-storage" sinfo --noheader --Node --format=%T | grep -cx idle) == $1))
}

# sbcast's messages of 8 MiB reach many nodes on slow links later than Slurm's usual patience of 10 s ends.
slurm_configuration() {
    local i
    cat <<END
ClusterName=$name
SlurmctldHost=storage($storage_address)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$state/slurm/munge.socket
StateSaveLocation=$state/slurm/state
SlurmdSpoolDir=$state/slurm/spool-%n
TmpFS=$state/slurm/tmp-%n
SlurmctldPidFile=$state/slurm/slurmctld.pid
SlurmdPidFile=$state/slurm/slurmd-%n.pid
SlurmctldLogFile=$state/slurm/slurmctld.log
SlurmdLogFile=$state/slurm/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog=$state/slurm/task-prolog
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MessageTimeout=90
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1
END
    for ((i = 0; i < $1; i++)); do
        echo "NodeName=node$i NodeAddr=10.77.0.$((i + 1)) CPUs=2 RealMemory=$(($(getconf _PHYS_PAGES) * $(getconf PAGE_SIZE) >> 20)) State=UNKNOWN"
    done
    echo "PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE"
}
