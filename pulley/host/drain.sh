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
    groups_left=$Drain,
    while [ "$groups_left" ]; do
        this_group=${groups_left%%,*} groups_left=${groups_left#*,}
        look_at_group || return
        [ "$ports" ] || echo "== drain: $this_group does not have this host"
        [ "$others_healthy" ] || [ -z "$ports" ] || echo "== drain: $this_group has no other healthy host"
        for port in ${others_healthy:+$ports}; do
            echo "$this_group $port" >>"$state/new"
        done
    done
}

# Leave in `ports` where the group has this host, in `health_found` how, in `others_healthy` whether another host is healthy.
look_at_group() {
    ask_balancer describe-target-health --query 'TargetHealthDescriptions[].[Target.Id,Target.Port,TargetHealth.State,TargetHealth.Reason]' >"$state/targets" || {
        health_found=$words
        return 1
    }
    ports='' health_found='' others_healthy=''
    while read -r id port value reason; do
        case $id/$value in
            "${AWS_SSM_INSTANCE_ID-}"/draining) health_found=draining ;;
            "${AWS_SSM_INSTANCE_ID-}"/*) ports="$ports $port" health_found="$health_found$value $reason " ;;
            */healthy) others_healthy=yes ;;
        esac
    done <"$state/targets"
}

ask_balancer() { # verb [arguments]
    its_region=${this_group#arn:*:*:} its_region=${its_region%%:*}
    time_for_steps
    words=''
    run_alone timeout --foreground -k 2 "$time_left" aws elbv2 "$@" --region "$its_region" --target-group-arn "$this_group" \
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
    while read -r this_group port; do
        echo "== $1: $this_group, port $port"
        ask_balancer "$1" --targets "Id=${AWS_SSM_INSTANCE_ID-},Port=$port" || is_gone || return
    done
}

wait_until() { # condition words
    while read -r this_group port; do
        until look_at_group && "$1" || is_gone; do
            words="$2 $health_found"
            time_for_steps
            [ "$time_left" -gt 3 ] || return
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
    [ -z "$others_healthy" ] || [ -z "$health_found" ]
}

# A group that no load balancer uses has no other state than unused.
is_back() {
    case $health_found in '' | dr* | *ini* | *unh* | *una*) return 1 ;; esac
}
