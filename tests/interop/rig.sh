# shellcheck disable=SC2034,SC2154 # the script that sources this sets some of its names and uses others
# What the interop scripts share; sourced (bash). Namespaces of their own for ringsockd and for the kernel as its peer, a wire between
# them, a configuration, ringsockd natively or under Wine. All that is made here is gone at the end, also after a failure.
#
# The script that sources this has set
#   kind      tap, af_packet, af_xdp, pcap, wine-pcap (ringsockd.exe and its clients are Windows programs under Wine)
#   mtu       of the wire
#   programs  folder with ringsockd and its clients
#   peers     folder with the programs of the kernel's side
# and may set
#   middle=1  a third namespace: two wires, joined by a bridge in it (namespace $wire, interfaces $wire_ours_if and $wire_peer_if)
#   config_nic, config_queue  further lines of those sections; config_more  further sections
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

id=$$
ours=rsd$id peer=rsp$id wire=rsw$id # namespaces
work=$(mktemp -d "${TMPDIR:-/tmp}/ringsock-interop.XXXXXX") || exit 1
dataplane_pid="" peer_pid="" vlan_pid=""
own=192.0.2.10 kernel=192.0.2.1 broadcast=192.0.2.255
ours_if=rva$id peer_if=rvb$id wire_ours_if=rwa$id wire_peer_if=rwb$id

skip() {
    echo "skipped: $*"
    exit 77
}

fail() {
    echo "FAILED: $*"
    for log in "$work"/*.log; do
        echo "---- ${log##*/}"
        tail -n 60 "$log"
    done
    exit 1
}

end_process() {
    [[ -n $1 ]] && kill -9 "$1" 2>/dev/null && wait "$1" 2>/dev/null
}

cleanup() {
    end_process "$dataplane_pid"
    end_process "$peer_pid"
    end_process "$vlan_pid"
    [[ $kind == wine-pcap && -d $work/prefix ]] && in_ours "$top/cmake/wine-run" --shutdown >/dev/null 2>&1
    ip netns del "$ours" 2>/dev/null
    ip netns del "$peer" 2>/dev/null
    ip netns del "$wire" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

in_ours() { ip netns exec "$ours" "$@"; }
in_peer() { ip netns exec "$peer" "$@"; }
in_wire() { ip netns exec "$wire" "$@"; }

# wait_line FILE PATTERN SECONDS PID: until FILE has a line with PATTERN.
wait_line() {
    local tries=$(($3 * 20))
    until grep -q "$2" "$1"; do
        kill -0 "$4" 2>/dev/null || return 1
        ((tries-- > 0)) || return 1
        sleep 0.05
    done
}

[[ $(id -u) == 0 ]] || skip "needs root for network namespaces"
for namespace in "$ours" "$peer" ${middle:+"$wire"}; do
    ip netns add "$namespace" || skip "network namespaces do not work here"
    ip netns exec "$namespace" ip link set lo up
done

# make_link NAMESPACE INTERFACE NAMESPACE INTERFACE: a veth between two namespaces.
make_link() {
    ip -n "$1" link add "$2" type veth peer name "$4" netns "$3" || skip "no veth here"
    ip -n "$1" link set "$2" mtu "$mtu" up
    ip -n "$3" link set "$4" mtu "$mtu" up
}

make_veth() {
    if [[ -n ${middle-} ]]; then
        in_wire sysctl -q net.ipv6.conf.default.disable_ipv6=1 2>/dev/null
        make_link "$ours" "$ours_if" "$wire" "$wire_ours_if"
        make_link "$wire" "$wire_peer_if" "$peer" "$peer_if"
        in_wire ip link add bridge mtu "$mtu" type bridge mcast_snooping 0 || skip "no bridge here"
        in_wire ip link set "$wire_ours_if" master bridge
        in_wire ip link set "$wire_peer_if" master bridge
        in_wire ip link set bridge up
    else
        make_link "$ours" "$ours_if" "$peer" "$peer_if"
    fi
    in_peer ip addr add "$kernel/24" broadcast "$broadcast" dev "$peer_if"
    # Over a veth the kernel leaves checksums to a NIC that is not there; a reader of raw frames would see them unfinished.
    in_peer "$peers/checksum_off" "$peer_if" || skip "transmit checksum offload of a veth cannot be switched off"
}

# make_config FILE DEVICE QUEUE MAC ADDRESS
configs=()
make_config() {
    configs+=("$work/$1")
    cat >"$work/$1" <<CONF
[nic]
device = $2
queue = $3
mac = $4
mtu_bytes = $mtu
${config_nic-}
[queue]
idle = yield
${config_queue-}
[ip]
address = $5/24
[instance]
name = interop$id
client_idle = yield
[log]
level = debug
${config_more-}
CONF
}

# make_wine_prefix: a prefix of its own, whose Wine server lives in ringsockd's namespace.
make_wine_prefix() {
    export RINGSOCK_WINEPREFIX=$work/prefix
    "$top/cmake/wine-run" --new-prefix "$work/prefix" >"$work/prefix.log" 2>&1 || fail "no Wine prefix"
}

# veth_device: what DPDK calls ringsockd's end of the veth.
veth_device() {
    local guid
    if [[ $kind == wine-pcap ]]; then
        guid=$(in_ours "$top/cmake/wine-run" "$programs/pcap_name.exe" "$ours_if" 2>"$work/pcap_name.log" | tr -d '\r') ||
            fail "pcap_name: no Windows name for $ours_if"
        echo "net_pcap0,iface=$guid"
    else
        echo "net_${kind/two_nics/af_packet}0,iface=$ours_if"
    fi
}

# A sanitized ringsockd: libxdp keeps 80 bytes of its own for ever.
echo "leak:xsk_umem__create" >"$work/lsan.suppressions"
export LSAN_OPTIONS=suppressions=$work/lsan.suppressions:print_suppressions=0

export RINGSOCK_RUNTIME_DIR=$work RINGSOCK_INSTANCE=interop$id

# command_of PROGRAM: sets the array command to what runs a program of $programs beside ringsockd.
command_of() {
    if [[ $kind == wine-pcap ]]; then
        command=(ip netns exec "$ours" "$top/cmake/wine-run" "$programs/$1.exe")
    else
        command=(ip netns exec "$ours" "$programs/$1")
    fi
}

start() {
    local command
    command_of "$1"
    "${command[@]}" "${@:2}"
}

# In the background by 'exec', so that the process id is the program's.
start_dataplane() {
    local command
    command_of ringsockd
    (exec "${command[@]}" --json-ledger "$work/ledger.json" "${configs[@]}") >"$work/ringsockd.log" 2>&1 &
    dataplane_pid=$!
    wait_line "$work/ringsockd.log" "ringsockd: ready: instance interop$id" 30 "$dataplane_pid" ||
        fail "waited up to 30 s for ringsockd's ready line"
}

# The end: the ledger has to balance.
stop_dataplane() {
    local tries=200 status
    kill -INT "$dataplane_pid"
    while kill -0 "$dataplane_pid" 2>/dev/null; do
        ((tries-- > 0)) || fail "waited 10 s for ringsockd to end after SIGINT"
        sleep 0.05
    done
    wait "$dataplane_pid"
    status=$?
    dataplane_pid=""
    [[ $status == 0 ]] || fail "ringsockd ended with status $status: the ledger does not balance, or a failure"
    [[ -s $work/ledger.json ]] || fail "no JSON ledger"
    grep -o "ringsockd: ready:.*" "$work/ringsockd.log"
}
