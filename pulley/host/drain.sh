# shellcheck shell=sh
# Take the host out of its load balancer around restart and health check, and put it back.
#
# The note `drained` has a line for each place that the host left: the target group and the port. It is written
# before the host leaves, and emptied when the host is back and healthy. So after a kill the next run puts it back.

# Ask AWS before anything moves, so that nothing moves if the host cannot ask, or may not.
check_drain() {
    [ "$Drain" ] || return 0
    has_program aws || refuse 'drain needs the AWS command line (aws)'
    find_places || refuse "drain: $words"
}

# Leave in $state/new the places that the host may leave. The last healthy host of a group stays where it is.
find_places() {
    true >"$state/new"
    groups=$Drain,
    while [ "$groups" ]; do
        group=${groups%%,*} groups=${groups#*,}
        look_at_group || return
        [ "$ports" ] || echo "== drain: $group does not have this host"
        [ "$others" ] || [ -z "$ports" ] || echo "== drain: $group has no other healthy host"
        for port in ${others:+$ports}; do
            echo "$group $port" >>"$state/new"
        done
    done
}

# Leave in `ports` where the group has this host, in `health` how, in `others` whether another host is healthy.
look_at_group() {
    ask_balancer describe-target-health --query 'TargetHealthDescriptions[].[Target.Id,Target.Port,TargetHealth.State,TargetHealth.Reason]' >"$state/targets" || {
        health=$words
        return 1
    }
    ports='' health='' others=''
    while read -r id port value reason; do
        case $id/$value in
            "${AWS_SSM_INSTANCE_ID-}"/draining) health=draining ;;
            "${AWS_SSM_INSTANCE_ID-}"/*) ports="$ports $port" health="$health$value $reason " ;;
            */healthy) others=yes ;;
        esac
    done <"$state/targets"
}

ask_balancer() { # verb [arguments]
    region=${group#arn:*:*:} region=${region%%:*}
    time_for_steps
    words=''
    run_alone timeout --foreground -k 2 "$left" aws elbv2 "$@" --region "$region" --target-group-arn "$group" \
        --output text </dev/null 2>"$errors" && return
    words=$(grep . "$errors" | tail -n 1)
    words=${words:-no answer}
    return 1
}

# A note from before does not say where the host is now: it may have been put back, or still be draining.
drain() {
    [ "$Drain" ] || return 0
    find_places && cat "$state/new" >>"$state/drained" && sync && each_place deregister-targets <"$state/new" &&
        wait_until is_out 'it still has connections:' <"$state/drained"
}

rejoin() {
    [ -s "$state/drained" ] || return 0
    each_place register-targets <"$state/drained" &&
        wait_until is_back 'the load balancer calls it' <"$state/drained" && true >"$state/drained"
}

each_place() { # verb
    while read -r group port; do
        echo "== $1: $group, port $port"
        ask_balancer "$1" --targets "Id=${AWS_SSM_INSTANCE_ID-},Port=$port" || is_gone || return
    done
}

wait_until() { # condition words
    while read -r group port; do
        until look_at_group && "$1" || is_gone; do
            words="$2 $health"
            time_for_steps
            [ "$left" -gt 3 ] || return
            sleep 1
        done
    done
}

# Whether the group of the last call exists no more: the host is owed nothing there.
is_gone() {
    case $words in *'(TargetGroupNotFound)'*) ;; *) return 1 ;; esac
}

# A host that saw no other healthy host has stayed in: it waits for nothing.
is_out() {
    [ -z "$others" ] || [ -z "$health" ]
}

# A group that no load balancer uses has no other state than unused.
is_back() {
    case $health in '' | dr* | *ini* | *unh* | *una*) return 1 ;; esac
}
