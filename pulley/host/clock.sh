# shellcheck shell=sh
# The time that is left.

# Leave in `now_ticks` the hundredths of a second since boot. This starts no process.
read_clock() {
    read -r now_ticks _ </proc/uptime
    now_ticks=${now_ticks%.*}${now_ticks#*.}
}

seconds_left() { # [kept back]
    read_clock
    time_left=$(((deadline - now_ticks) / 100 - ${1-0}))
    [ "$time_left" -gt 1 ] || time_left=1
}

# A filter, or the remote of a partial clone, can hang. So keep some time to take the move back.
time_to_move() {
    seconds_left
    time_left=$((time_left > 20 ? time_left * 2 / 3 : time_left))
}

time_for_steps() {
    seconds_left "$kept_for_going_back"
}
