# shellcheck shell=sh
# The time that is left.

# Leave in `now` the hundredths of a second since boot. This starts no process.
read_clock() {
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
}

seconds_left() { # [kept back]
    read_clock
    left=$(((deadline - now) / 100 - ${1-0}))
    [ "$left" -gt 1 ] || left=1
}

# A filter, or the remote of a partial clone, can hang. So keep some time to take the move back.
time_to_move() {
    seconds_left
    left=$((left > 20 ? left * 2 / 3 : left))
}

time_for_steps() {
    seconds_left "$kept_for_going_back"
}
