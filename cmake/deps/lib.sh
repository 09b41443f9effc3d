# shellcheck shell=bash
# Shell functions of the dependency set-up, sourced by cmake/deps/setup, run-demo, run-tests and cmake/wine-run. It only
# defines functions and the variables RS_*; recipes/ holds one program per outside library that is built.
#
# The cache (RS_CACHE):
#   src/NAME_VERSION/            source package files, as Debian signed them
#   NAME-VERSION-TARGET-ID/      one built library; ID is the checksum of its recipe
#   windows-ARCH/NAME            link to the one in use, NAME.stamp beside it says which recipe and suite made it
#   wine-root  wine-i386  wine-prefix   links likewise; wine-i386.why says why wine-i386 could not be built
#   logs/NAME-TARGET.log         what the last build printed
#   locks/                       one lock per library; a library is built in tmp-*, renamed when whole

RS_DEPS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck disable=SC2034
RS_TOP=$(cd "$RS_DEPS_DIR/../.." && pwd)
RS_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ringsock
RS_JOBS=${RS_JOBS:-$(nproc)}
# The start that progress lines count from, shared with the programs called.
export RS_SINCE=${RS_SINCE:-$EPOCHSECONDS}

RS_PACKAGES_NATIVE=(build-essential cmake ninja-build pkg-config libdpdk-dev libmimalloc-dev libbenchmark-dev
    libcmocka-dev libpcap-dev iproute2 iputils-ping ethtool python3)
RS_PACKAGES_WINDOWS=(gcc-mingw-w64-x86-64-posix g++-mingw-w64-x86-64-posix gcc-mingw-w64-i686-posix
    g++-mingw-w64-i686-posix meson python3-pyelftools dpkg-dev xz-utils debootstrap)
RS_PACKAGES_TEST=(clang clang-format clang-tidy cppcheck shellcheck strace git)

# What is built for Windows: NAME-TARGET in the order of starting; the longest first.
RS_WINDOWS_BUILDS=(dpdk-x86_64 wine-root mimalloc-x86_64 cmocka-x86_64 benchmark-x86_64 mimalloc-i686 cmocka-i686)
# What is made from wine-root, one after the other. Without wine-i386 only 32-bit programs do not run.
RS_WINE_BUILDS=(wine-i386 wine-prefix)

rs_elapsed() {
    printf '%3d s' $((EPOCHSECONDS - RS_SINCE))
}

# rs_say TEXT: one progress line.
rs_say() {
    printf '  [%s] %s\n' "$(rs_elapsed)" "$*"
}

rs_fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# rs_fail_log WHAT LOG: an error names its log and shows the log's end.
rs_fail_log() {
    printf '%s: %s failed; the whole log is %s, its end:\n' "${0##*/}" "$1" "$2" >&2
    tail -n 15 "$2" | sed 's/^/    /' >&2
    exit 1
}

# rs_step WHAT LOG COMMAND...: runs COMMAND with its output in LOG, says how long it took.
rs_step() {
    local what=$1 log=$2 begin=$SECONDS
    shift 2
    mkdir -p "$(dirname "$log")"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        rs_fail_log "$what" "$log"
    fi
    rs_say "$what: done in $((SECONDS - begin)) s"
}

# rs_missing_packages PACKAGE...: prints those that are not installed.
rs_missing_packages() {
    local package
    for package in "$@"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || printf '%s\n' "$package"
    done
}

# rs_confirm QUESTION: asks on a terminal; --yes, CI or no terminal means yes.
rs_confirm() {
    local answer
    if [[ ${RS_YES:-0} == 1 || -n ${CI:-} || ! -t 0 || ! -t 1 ]]; then
        return 0
    fi
    read -r -p "$1 [y/N] " answer
    [[ $answer == [yY]* ]]
}

# rs_install WHAT PACKAGE...: installs what is missing; without root it says which command to run.
rs_install() {
    local what=$1 missing
    shift
    mapfile -t missing < <(rs_missing_packages "$@")
    [[ ${#missing[@]} -gt 0 ]] || return 0
    if [[ $(id -u) != 0 ]]; then
        rs_fail "$what: packages are missing and this is not root. Run: sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
    mkdir -p "$RS_CACHE/logs"
    if [[ ${RS_APT_FRESH:-0} == 0 ]]; then
        rs_apt_update
    fi
    # An install that was cut short leaves packages half set up, and apt then refuses.
    dpkg --configure -a >"$RS_CACHE/logs/dpkg-configure.log" 2>&1 </dev/null || true
    rs_step "apt: $what (${#missing[@]} packages)" "$RS_CACHE/logs/apt-${what// /-}.log" \
        env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${missing[@]}"
}

# A third party's broken source list must not stop us: apt-get install says what it cannot find.
rs_apt_update() {
    rs_say "apt: reading the package lists"
    apt-get -o DPkg::Lock::Timeout=300 update >"$RS_CACHE/logs/apt-update.log" 2>&1 </dev/null || rs_say "apt-get update complained, see $RS_CACHE/logs/apt-update.log"
    RS_APT_FRESH=1
}

rs_suite() {
    # shellcheck source=/dev/null
    (. /etc/os-release && printf '%s' "${VERSION_CODENAME:-${ID:-linux}}")
}

# rs_host_wine: prints the host's own wine program if its version is 10 or later.
rs_host_wine() {
    local wine version
    wine=$(command -v wine 2>/dev/null) || return 1
    version=$("$wine" --version 2>/dev/null) || return 1
    version=${version#wine-}
    [[ ${version%%.*} =~ ^[0-9]+$ && ${version%%.*} -ge 10 ]] || return 1
    printf '%s' "$wine"
}

# rs_can_run_windows: prints why not, and fails, where Windows programs cannot be run.
rs_can_run_windows() {
    if [[ $(uname -m) != x86_64 ]]; then
        echo "the Windows stage needs an x86_64 host, this is $(uname -m)"
        return 1
    fi
    rs_host_wine >/dev/null && return 0
    if [[ $(id -u) != 0 ]]; then
        echo "the Windows stage needs root (Wine 10 runs in a root of its own), or Wine 10 installed on this host"
        return 1
    fi
    if ! unshare -m true 2>/dev/null; then
        echo "the Windows stage needs the right to make mounts (CAP_SYS_ADMIN), or Wine 10 installed on this host"
        return 1
    fi
}

# rs_can_run_windows32: prints why not, and fails, where the set-up has left out what 32-bit Windows programs need.
rs_can_run_windows32() {
    [[ ! -e $RS_CACHE/wine-prefix/drive_c/windows/syswow64/kernel32.dll ]] || return 0
    if rs_host_wine >/dev/null; then
        echo "this host's Wine runs no 32-bit programs"
    else
        cat "$RS_CACHE/wine-i386.why" 2>/dev/null || echo "Wine's 32-bit libraries are not set up"
    fi
    return 1
}

rs_recipe_file() {
    printf '%s/recipes/%s' "$RS_DEPS_DIR" "$1"
}

# rs_recipe_id NAME: changes when the recipe does, comments apart, with the build options it reads and with what it is made from:
# a prefix that was made without wine-i386 is made anew once that is there.
rs_recipe_id() {
    { grep -v '^ *#' "$(rs_recipe_file "$1")"
      [[ $1 != dpdk ]] || cat "$RS_DEPS_DIR/wpcap.def"
      [[ $1 != dpdk || -z ${RINGSOCK_DPDK_MLX5:-} ]] || echo mlx5
      [[ $1 != wine-i386 && $1 != wine-prefix ]] || rs_recipe_id wine-root
      [[ $1 != wine-prefix ]] || ! rs_is_built wine-i386 || rs_recipe_id wine-i386; } | sha256sum | cut -c1-8
}

# rs_link NAME TARGET: where the link to the build in use stands.
rs_link() {
    if [[ $2 == host ]]; then
        printf '%s/%s' "$RS_CACHE" "$1"
    else
        printf '%s/windows-%s/%s' "$RS_CACHE" "$2" "$1"
    fi
}

# rs_split NAME-ARCH: sets RS_NAME and RS_TARGET (host when the name ends in no architecture).
rs_split() {
    case $1 in
        *-x86_64 | *-i686) RS_NAME=${1%-*} RS_TARGET=${1##*-} ;;
        *) RS_NAME=$1 RS_TARGET=host ;;
    esac
}

# rs_is_built NAME-ARCH: quick, no network.
rs_is_built() {
    local RS_NAME RS_TARGET link
    rs_split "$1"
    link=$(rs_link "$RS_NAME" "$RS_TARGET")
    [[ -d $link/ && -e $link.stamp && $(<"$link.stamp") == "$(rs_suite) $(rs_recipe_id "$RS_NAME")" ]]
}

# rs_unbuilt NAME-ARCH...: prints those that are wanted here and not built.
rs_unbuilt() {
    local build
    for build in "$@"; do
        [[ $build == wine-root || $build == wine-i386 ]] && rs_host_wine >/dev/null && continue
        rs_is_built "$build" || printf '%s\n' "$build"
    done
}

# rs_apt_private ARGS...: apt-get with a state of its own that has source packages switched on. The archive's address comes
# from the system's own lists at run time.
rs_apt_private() {
    local state=$RS_CACHE/apt-source
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    if [[ -e /etc/apt/sources.list.d/debian.sources ]]; then
        sed 's/^Types:.*/Types: deb-src/' /etc/apt/sources.list.d/debian.sources >"$state/deb-src.sources"
        set -- -o "Dir::Etc::sourcelist=$state/deb-src.sources" "$@"
    else
        sed -nE 's/^deb(-src)? /deb-src /p' /etc/apt/sources.list | sort -u >"$state/deb-src.list"
        set -- -o "Dir::Etc::sourcelist=$state/deb-src.list" "$@"
    fi
    apt-get -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache" \
        -o APT::Sandbox::User=root "$@"
}

# rs_debian_uri: the archive that this system's own lists name.
rs_debian_uri() {
    local uri
    uri=$(sed -nE 's/^URIs: *([^ ]+).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
    [[ -n $uri ]] || uri=$(sed -nE 's/^deb (\[[^]]*\] )?([^ ]+) .*/\2/p' /etc/apt/sources.list 2>/dev/null | head -n 1)
    [[ -n $uri ]] || rs_fail "no archive address in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list"
    printf '%s' "$uri"
}

# rs_update_lists APT_GET...: fetches the package lists and fails unless all came. A mirror may be caught while it is being
# renewed, so it is asked three times.
rs_update_lists() {
    local attempt
    for attempt in 1 2 3; do
        "$@" -o APT::Update::Error-Mode=any update && return 0
        [[ $attempt == 3 ]] || sleep 5
    done
    return 1
}

rs_apt_proxy() {
    apt-config dump | sed -nE 's/^Acquire::http::Proxy "(.+)";/\1/p' | head -n 1
}

# rs_fetch_source NAME: prints the folder with the source package, newest version of the host's suite.
rs_fetch_source() {
    local name=$1 version folder
    (
        flock 9
        if [[ -z $(find "$RS_CACHE/apt-source/lists" -maxdepth 1 -name '*Sources*' -mmin -720 2>/dev/null) ]]; then
            rs_apt_private update >&2
            find "$RS_CACHE/apt-source/lists" -maxdepth 1 -name '*Sources*' -exec touch {} +
        fi
        version=$(rs_apt_private --print-uris source "$name" | sed -nE "s/.* ${name}_([^ ]+)\.dsc .*/\1/p" | head -n 1)
        [[ -n $version ]] || rs_fail "no source package $name in this system's suite $(rs_suite)"
        folder=$RS_CACHE/src/${name}_$version
        if [[ ! -d $folder ]]; then
            rm -rf "$folder.part"
            mkdir -p "$folder.part"
            (cd "$folder.part" && rs_apt_private source --download-only "$name=$version" >&2)
            mv "$folder.part" "$folder"
        fi
        printf '%s\n' "$folder"
    ) 9>"$RS_CACHE/locks/apt-source"
}

# rs_build NAME-ARCH: builds one library unless the cache has it. Waits for another run that builds the same.
rs_build() {
    local build=$1 RS_NAME RS_TARGET log lock begin=$SECONDS
    rs_is_built "$build" && return 0
    rs_split "$build"
    log=$RS_CACHE/logs/$build.log
    mkdir -p "$RS_CACHE/logs" "$RS_CACHE/locks" "$RS_CACHE/windows-x86_64" "$RS_CACHE/windows-i686"
    exec {lock}>"$RS_CACHE/locks/$build"
    if ! flock -n "$lock"; then
        rs_say "$build: another run builds it, waiting"
        flock "$lock"
    fi
    if ! rs_is_built "$build"; then
        rs_say "$build: building (log $log)"
        # A program of its own: set -e works there whatever stands around this call.
        if ! "$RS_DEPS_DIR/build-one" "$RS_NAME" "$RS_TARGET" >"$log" 2>&1 </dev/null; then
            rs_fail_log "$build" "$log"
        fi
        rs_say "$build: built in $((SECONDS - begin)) s, $(du -sh "$(rs_link "$RS_NAME" "$RS_TARGET")/" 2>/dev/null | cut -f1)"
    fi
    exec {lock}>&-
}

# rs_setup_windows: all that the Windows presets and stages need, three at work side by side.
rs_setup_windows() {
    local build unbuilt pids=() pid status=0
    rs_install "for Windows" "${RS_PACKAGES_WINDOWS[@]}"
    mapfile -t unbuilt < <(rs_unbuilt "${RS_WINDOWS_BUILDS[@]}")
    for build in "${unbuilt[@]}"; do
        while [[ $(jobs -rp | wc -l) -ge 3 ]]; do
            wait -n || status=1
        done
        (rs_build "$build") &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        wait "$pid" || status=1
    done
    [[ $status == 0 ]] || return 1
    if [[ -n $(rs_unbuilt wine-i386) ]] && ! (rs_build wine-i386) 2>/dev/null; then
        rs_say "wine-i386: left out, 32-bit programs will not run: $(rs_can_run_windows32 || true)"
    fi
    rs_build wine-prefix
}

# rs_start_windows LOG: rs_setup_windows beside the caller, its progress in LOG; sets RS_WINDOWS_PID (also its process group).
# The caller shows the progress with rs_show_windows, ends with rs_wait_windows, and calls rs_stop_windows on its way out.
rs_start_windows() {
    RS_WINDOWS_LOG=$1
    RS_WINDOWS_SHOWN=0
    mkdir -p "$(dirname "$1")"
    : >"$1"
    RS_PLANNED=1 setsid "$RS_DEPS_DIR/setup" --yes windows >"$1" 2>&1 </dev/null &
    RS_WINDOWS_PID=$!
}

rs_show_windows() {
    local lines
    [[ -n ${RS_WINDOWS_PID:-} ]] || return 0
    mapfile -t lines < <(tail -n +$((RS_WINDOWS_SHOWN + 1)) "$RS_WINDOWS_LOG")
    [[ ${#lines[@]} == 0 ]] || printf '%s\n' "${lines[@]}"
    RS_WINDOWS_SHOWN=$((RS_WINDOWS_SHOWN + ${#lines[@]}))
}

# rs_wait_windows: shows the progress until the set-up ends; fails when it failed.
rs_wait_windows() {
    local status=0
    [[ -n ${RS_WINDOWS_PID:-} ]] || return 0
    while kill -0 "$RS_WINDOWS_PID" 2>/dev/null; do
        rs_show_windows
        sleep 1
    done
    wait "$RS_WINDOWS_PID" || status=1
    rs_show_windows
    RS_WINDOWS_PID=
    return "$status"
}

# rs_signal_windows SIGNAL: to the whole group. STOP and CONT stand around a stage that measures.
rs_signal_windows() {
    [[ -z ${RS_WINDOWS_PID:-} ]] || kill "-$1" -- "-$RS_WINDOWS_PID" 2>/dev/null || true
}

rs_stop_windows() {
    rs_signal_windows TERM
    rs_signal_windows CONT
}

# rs_cmake PRESET [TARGET]: configures and builds build/PRESET, output in build/PRESET.log; status 1 with the log's end on failure.
rs_cmake() {
    local preset=$1 log=$RS_TOP/build/$1.log
    mkdir -p "$RS_TOP/build"
    if ! { (cd "$RS_TOP" && cmake --preset "$preset" -DRINGSOCK_CACHE="$RS_CACHE" && cmake --build --preset "$preset" ${2:+--target "$2"}); } \
        >"$log" 2>&1 </dev/null; then
        printf 'building preset %s failed; the whole log is %s, its errors and end:\n' "$preset" "$log" >&2
        { grep -E '(error|Error)[: ]' "$log" | head -n 20; tail -n 5 "$log"; } | sed 's/^/    /' >&2
        return 1
    fi
}

# rs_plan NATIVE|WINDOWS|TEST...: says what would be installed and where; fails with status 2 when there is nothing to do.
rs_plan() {
    local part packages=() missing unbuilt=() work=0
    for part in "$@"; do
        case $part in
            native) packages+=("${RS_PACKAGES_NATIVE[@]}") ;;
            windows)
                packages+=("${RS_PACKAGES_WINDOWS[@]}")
                mapfile -t unbuilt < <(rs_unbuilt "${RS_WINDOWS_BUILDS[@]}" "${RS_WINE_BUILDS[@]}")
                ;;
            test) packages+=("${RS_PACKAGES_TEST[@]}") ;;
        esac
    done
    mapfile -t missing < <(rs_missing_packages "${packages[@]}")
    if [[ ${#missing[@]} -gt 0 ]]; then
        echo "Debian packages to install with apt-get (with what they need, up to 1.6 GB on disk):"
        printf '%s\n' "${missing[*]}" | fold -s -w 96 | sed 's/^/    /'
        work=1
    fi
    if [[ ${#unbuilt[@]} -gt 0 ]]; then
        echo "To build from Debian's packages into $RS_CACHE (up to 2.5 GB, nothing else of the system is touched):"
        printf '%s\n' "${unbuilt[*]}" | fold -s -w 96 | sed 's/^/    /'
        work=1
    fi
    [[ $work == 1 ]] || return 2
}

# rs_clean: removes the cache. Mounts under it live in other programs' private namespaces only, --one-file-system guards all the same.
rs_clean() {
    if [[ -d $RS_CACHE ]]; then
        echo "removing $RS_CACHE ($(du -sh --one-file-system "$RS_CACHE" 2>/dev/null | cut -f1))"
        rm -rf --one-file-system "$RS_CACHE"
    else
        echo "nothing to remove: no $RS_CACHE"
    fi
}
