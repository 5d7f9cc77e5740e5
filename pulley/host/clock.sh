# shellcheck shell=sh
# The time that is left.

# Since boot, in hundredths of a second, without starting a process.
read_clock() {
    read -r now _ </proc/uptime
    now=${now%.*}${now#*.}
}

seconds_left() { # [kept back]
    read_clock
    left=$(((deadline - now) / 100 - ${1-0}))
    [ "$left" -gt 1 ] || left=1
}

# A filter of git's, or a partial clone's remote, can hang as well: time is kept back for the way back.
time_to_move() {
    seconds_left
    left=$((left > 20 ? left * 2 / 3 : left))
}

time_for_steps() {
    seconds_left "$kept_for_going_back"
}
