# shellcheck shell=sh
# The health check: request the URL until the answer is 2xx.

check_health() {
    time_for_steps
    begun=$now_ticks tries=0 last_answer='' told=''
    tries_end=$((now_ticks + (time_left < 60 ? time_left : 60) * 100))
    echo "== health_check: $health_url"
    while :; do
        ask_site
        tries=$((tries + 1))
        [ "$last_answer" ] || return 0
        [ "$last_answer" = "$told" ] || echo "$last_answer"
        told=$last_answer
        read_clock
        [ "$now_ticks" -lt "$tries_end" ] || break
        sleep 1
    done
    words="$last_answer (asked $tries times in $(((now_ticks - begun) / 100)) seconds)"
    return 1
}

# Request it once. `last_answer` says what was wrong, and is empty if the answer was 2xx.
ask_site() {
    last_answer=''
    if has_program curl; then
        status_code=$(ask_with_curl 2>"$state/new")
        case $status_code in
            2??) return 0 ;;
            000 | '') ;;
            *) last_answer="the last answer was $status_code" && return 0 ;;
        esac
    else
        ! ask_with_wget >"$state/new" 2>&1 || return 0
    fi
    while read -r text_line; do
        case $text_line in
            *'ERROR '[1-9]*) last_answer="the last answer was ${text_line#*ERROR }" ;;
            *'server returned error: '*) last_answer="the last answer was ${text_line#*server returned error: }" ;;
            curl:* | wget:* | *' failed: '* | *'unable to '* | *rror* | *'timed out'*) last_answer="no answer: $text_line" ;;
        esac
    done <"$state/new"
    last_answer=${last_answer:-no answer}
}

ask_with_curl() {
    set --
    ! is_loopback || set -- --noproxy '*'
    LC_ALL=C run_alone curl -gsS -o /dev/null -w '%{http_code}' --max-time 5 "$@" -- "$health_url"
}

ask_with_wget() (
    if is_loopback; then
        unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY
        export no_proxy="$health_host" # for a proxy in a wgetrc
    fi
    LC_ALL=C run_alone wget -O /dev/null -T 5 -t 1 -- "$health_url"
)

# Use no proxy for these names: they would lead the proxy to its own host.
is_loopback() {
    health_host=${health_url#*://}
    health_host=${health_host%%[/?#]*}
    health_host=${health_host##*@}
    case $health_host in
        "["*) health_host=${health_host#"["} health_host=${health_host%%"]"*} ;;
        *) health_host=${health_host%%:*} ;;
    esac
    case ${health_host%.} in
        [Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]) ;;
        ::1 | 0:0:0:0:0:0:0:1) ;;
        127.*[!0-9.]*) return 1 ;; # a name
        127.*) ;;
        *) return 1 ;;
    esac
}
