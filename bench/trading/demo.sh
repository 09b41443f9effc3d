# The stages of ./run-demo, which sources this file (bash). Each stage runs in a subshell of its own, cleans up behind itself
# also when it fails, prints a short result, and leaves its figures in $DEMO_WORK.
#
#   demo_native_loopback   Ringsock's loopback NIC natively, beside the kernel's loopback; needs no privileges
#   demo_windows_stage     the Windows feed handler under Wine against a kernel peer in a network namespace; needs root
#   demo_write_json FILE   the figures of the stages that ran, as one JSON object
#
# Settings, all with defaults:
#   DEMO_ROOT          the checkout
#   DEMO_BIN           native programs          (build/release/bin)
#   DEMO_WINDOWS_BIN   Windows programs         (build/windows/bin)
#   DEMO_WORK          folder for what the stages leave behind; the caller makes and removes it
#   DEMO_COUNT         market-data datagrams    (200000)
#   DEMO_RATE          datagrams a second       (20000)
# Exit status of a stage: 0 the ledger balances and nothing was lost inside Ringsock; 1 otherwise; the reason is printed.

: "${DEMO_ROOT:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${DEMO_BIN:=$DEMO_ROOT/build/release/bin}"
: "${DEMO_WINDOWS_BIN:=$DEMO_ROOT/build/windows/bin}"
: "${DEMO_COUNT:=200000}"
: "${DEMO_RATE:=20000}"

demo_say() {
    printf '  %s\n' "$*"
}

demo_pids=
demo_namespace=
demo_link=
demo_prefix=

# Ends what this stage started, by id, and removes its network. Runs at the stage's end, whatever the reason.
demo_cleanup() {
    local pid
    for pid in $demo_pids; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in $demo_pids; do
        demo_await "$pid" 20 || kill -KILL "$pid" 2>/dev/null || true
    done
    if [[ -n $demo_prefix ]]; then
        RINGSOCK_WINEPREFIX=$demo_prefix "$DEMO_ROOT/cmake/wine-run" --shutdown >/dev/null 2>&1 || true
        rm -rf "$demo_prefix"
    fi
    # Deleting the near end deletes the pair.
    [[ -z $demo_link ]] || ip link delete "$demo_link" 2>/dev/null || true
    [[ -z $demo_namespace ]] || ip netns delete "$demo_namespace" 2>/dev/null || true
}

# demo_await PID TENTHS: waits for the end of a child at most that long; true when it has ended.
demo_await() {
    local i
    for ((i = 0; i < $2; i++)); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}

# demo_wait_line FILE WORD TENTHS: waits until a line of the file begins with the word.
demo_wait_line() {
    local i
    for ((i = 0; i < $3; i++)); do
        grep -q "^$2" "$1" 2>/dev/null && return 0
        sleep 0.1
    done
    return 1
}

# demo_start LOG COMMAND...: in the background; its id in $demo_pid.
demo_start() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    demo_pid=$!
    demo_pids="$demo_pids $demo_pid"
}

# demo_fail TEXT [LOG]: says why and ends the stage.
demo_fail() {
    demo_say "FAILED: $1"
    if [[ -n ${2:-} && -s $2 ]]; then
        tail -n 15 "$2" | sed 's/^/    | /'
    fi
    exit 1
}

# demo_stop_dataplane PID LOG SIGNAL: asks ringsockd to end and waits for its ledger; its exit status in $demo_status.
demo_stop_dataplane() {
    demo_status=0
    kill "-$3" "$1" 2>/dev/null || true
    demo_await "$1" 100 || demo_fail "ringsockd did not end within 10 s of SIG$3" "$2"
    wait "$1" || demo_status=$?
}

# demo_pair LABEL TAG PEER... -- FEED...: runs an exchange and a feed handler to their end. Figures: $DEMO_WORK/TAG-feed.json
# and TAG-peer.json; the feed's histogram: TAG-feed.log.
demo_pair() {
    local label=$1 tag=$2 peer=() feed
    shift 2
    while [[ $1 != -- ]]; do
        peer+=("$1")
        shift
    done
    shift
    feed=("$@")
    rm -f "$DEMO_WORK/$tag"-{feed,peer}.json
    demo_start "$DEMO_WORK/$tag-peer.log" "${peer[@]}" --json "$DEMO_WORK/$tag-peer.json"
    local peer_pid=$demo_pid
    demo_wait_line "$DEMO_WORK/$tag-peer.log" ready 100 ||
        demo_fail "$label: the exchange did not start" "$DEMO_WORK/$tag-peer.log"
    demo_start "$DEMO_WORK/$tag-feed.log" "${feed[@]}" --label "$label" --json "$DEMO_WORK/$tag-feed.json"
    demo_await "$demo_pid" 900 || demo_fail "$label: the feed handler did not end within 90 s" "$DEMO_WORK/$tag-feed.log"
    wait "$demo_pid" || demo_feed_failed=1
    demo_await "$peer_pid" 150 || demo_fail "$label: the exchange did not end" "$DEMO_WORK/$tag-peer.log"
    wait "$peer_pid" || demo_feed_failed=1
    [[ -s $DEMO_WORK/$tag-feed.json ]] || demo_fail "$label: no figures" "$DEMO_WORK/$tag-feed.log"
    [[ -s $DEMO_WORK/$tag-peer.json ]] || demo_fail "$label: no figures" "$DEMO_WORK/$tag-peer.log"
}

# demo_config FROM TO NAME=VALUE...: a copy of a configuration with some values replaced; each must stand there already.
demo_config() {
    local from=$1 to=$2 pair key value
    shift 2
    cp "$from" "$to"
    for pair in "$@"; do
        key=${pair%%=*}
        value=${pair#*=}
        grep -q "^$key *=" "$to" || demo_fail "$from has no key $key"
        value=${value//\\/\\\\}
        sed -i "s|^$key *=.*|$key = ${value//|/\\|}|" "$to"
    done
}

demo_native_loopback() (
    set -u
    trap demo_cleanup EXIT
    trap 'exit 130' INT TERM
    local name=demo-$$ config=$DEMO_WORK/native.conf log=$DEMO_WORK/native-ringsockd.log
    local count=$((DEMO_COUNT / 4)) options dataplane
    demo_feed_failed=0
    demo_say "Native, loopback NIC: $count datagrams of 64 to 1,400 bytes at $DEMO_RATE/s, one order in ten"
    demo_config "$DEMO_ROOT/configs/loopback.conf" "$config" "name=$name"
    options=(--count "$count" --rate "$DEMO_RATE")
    demo_start "$log" "$DEMO_BIN/ringsockd" --json-ledger "$DEMO_WORK/native-ledger.json" "$config"
    dataplane=$demo_pid
    demo_wait_line "$log" "ringsockd: ready" 100 || demo_fail "ringsockd did not start" "$log"
    demo_pair "Ringsock" native "$DEMO_BIN/trade_peer_ringsock" --instance "$name" "${options[@]}" -- \
        "$DEMO_BIN/trade_feed" --instance "$name"
    demo_stop_dataplane "$dataplane" "$log" TERM
    local failed=$demo_feed_failed
    demo_pair "kernel" native-kernel "$DEMO_BIN/trade_peer" "${options[@]}" -- "$DEMO_BIN/trade_feed_kernel"
    "$DEMO_ROOT/bench/trading/demo_report" --stage native --work "$DEMO_WORK" --dataplane-status "$demo_status" \
        --failed "$failed"
)

# A /24 of the shared address space (RFC 6598) that nothing on this host routes yet; $demo_net is its first three numbers.
demo_choose_net() {
    local i n
    for ((i = 0; i < 64; i++)); do
        n=$((($$ + i) % 16384))
        demo_net=100.$((64 + n / 256)).$((n % 256))
        ip -4 route show match "$demo_net.1" | grep -qv '^default' || return 0
    done
    return 1
}

# The near end stays in this namespace, for Wine's server to reach; the far end gets one of its own, with the kernel's stack.
# Hosts on it: .1 this kernel, .2 Ringsock, .3 the exchange.
demo_make_net() {
    local far=rsf$$
    demo_choose_net || demo_fail "every candidate network is already routed on this host"
    demo_namespace=ringsock-demo-$$
    ip netns add "$demo_namespace" || demo_fail "no network namespace"
    ip link add "rsn$$" type veth peer name "$far" netns "$demo_namespace" || demo_fail "no veth pair"
    demo_link=rsn$$
    # IPv6's own packets would only be noise in the ledger.
    echo 1 >"/proc/sys/net/ipv6/conf/$demo_link/disable_ipv6" 2>/dev/null || true
    ip netns exec "$demo_namespace" sh -c "echo 1 >/proc/sys/net/ipv6/conf/$far/disable_ipv6" 2>/dev/null || true
    if ! { ip addr add "$demo_net.1/24" dev "$demo_link" &&
        ip -n "$demo_namespace" addr add "$demo_net.3/24" dev "$far" &&
        ip link set "$demo_link" up &&
        ip -n "$demo_namespace" link set lo up &&
        ip -n "$demo_namespace" link set "$far" up; }; then
        demo_fail "the veth pair does not come up"
    fi
}

# demo_offload on|off: a veth leaves UDP checksums to the receiver's kernel. Ringsock takes frames as a wire has them, so they
# are written out for it; the kernel's own run gets its offload back.
demo_offload() {
    ip netns exec "$demo_namespace" ethtool -K "rsf$$" tx "$1" >/dev/null 2>&1 ||
        demo_fail "ethtool cannot set the checksum offload of the veth"
}

demo_windows_stage() (
    set -u
    if [[ $(id -u) != 0 ]]; then
        demo_say "Left out without root: the Windows stage (it needs a veth pair, a network namespace and raw sockets)"
        exit 0
    fi
    trap demo_cleanup EXIT
    trap 'exit 130' INT TERM
    local wine=$DEMO_ROOT/cmake/wine-run name=demo-$$ config=$DEMO_WORK/windows.conf log=$DEMO_WORK/windows-ringsockd.log
    local group=239.255.1.1 device dataplane
    demo_feed_failed=0
    demo_say "Windows programs under Wine, kernel peer behind a veth: $DEMO_COUNT datagrams of 64 to 1,400 bytes at $DEMO_RATE/s"
    demo_make_net
    demo_prefix=$DEMO_WORK/wine-prefix
    export RINGSOCK_WINEPREFIX=$demo_prefix
    env -u RINGSOCK_WINEPREFIX "$wine" --new-prefix "$demo_prefix" || demo_fail "no Wine prefix"
    device=$("$wine" "$DEMO_WINDOWS_BIN/nic_name.exe" "$demo_link" 2>"$DEMO_WORK/nic_name.log" | tr -d '\r')
    [[ -n $device ]] || demo_fail "Wine does not see the interface $demo_link" "$DEMO_WORK/nic_name.log"
    demo_windows_config "$config" "$device" "$name"

    demo_offload off
    demo_start "$log" "$wine" "$DEMO_WINDOWS_BIN/ringsockd.exe" --json-ledger "$DEMO_WORK/windows-ledger.json" "$config"
    dataplane=$demo_pid
    demo_wait_line "$log" "ringsockd: ready" 300 || demo_fail "ringsockd.exe did not start" "$log"
    local peer=(ip netns exec "$demo_namespace" "$DEMO_BIN/trade_peer" --local "$demo_net.3" --group "$group" --rate "$DEMO_RATE")
    demo_pair "Ringsock" windows "${peer[@]}" --count "$DEMO_COUNT" -- \
        "$wine" "$DEMO_WINDOWS_BIN/trade_feed.exe" --instance "$name" --local "$demo_net.2" --peer "$demo_net.3" --group "$group"
    demo_stop_dataplane "$dataplane" "$log" INT
    local failed=$demo_feed_failed # what runs beside may lose what it likes

    demo_offload on
    demo_pair "the system's Winsock" windows-ws2 "${peer[@]}" --count "$((DEMO_COUNT / 4))" -- \
        "$wine" "$DEMO_WINDOWS_BIN/trade_feed_ws2.exe" --local "$demo_net.1" --peer "$demo_net.3" --group "$group"
    "$DEMO_ROOT/bench/trading/demo_report" --stage windows --work "$DEMO_WORK" --dataplane-status "$demo_status" \
        --failed "$failed"
)

demo_windows_config() {
    cat >"$1" <<CONFIG
[nic]
device = net_pcap0,iface=$2
mac = 02:52:53:$(printf '%02x:%02x' $(($$ / 256 % 256)) $(($$ % 256))):02
mbufs = 16384
rx_descriptors = 4096
[queue]
idle = yield
[ip]
address = $demo_net.2/24
[instance]
name = $3
client_idle = yield
CONFIG
}

demo_write_json() {
    "$DEMO_ROOT/bench/trading/demo_report" --merge "$1" --work "$DEMO_WORK"
}
