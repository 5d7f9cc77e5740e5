# shellcheck shell=sh
# Read the document's parameters, and check them again.

# The agent sets SSM_<Name>. Agents older than 3.3.2746.0 write the values into this text instead.
read_parameters() {
    for given in 'Target={{ Target }}' 'Repository={{ Repository }}' 'Checkout={{ Checkout }}' \
        'Branch={{ Branch }}' 'Commit={{ Commit }}' 'Update={{ Update }}' 'AfterPull={{ AfterPull }}' \
        'Restart={{ Restart }}' 'HealthCheck={{ HealthCheck }}' 'Timeout={{ Timeout }}' 'Issued={{ Issued }}' \
        'Cause={{ Cause }}' 'Paths={{ Paths }}' 'Clone={{ Clone }}' 'Owner={{ Owner }}' 'Drain={{ Drain }}' \
        'BeforeRestart={{ BeforeRestart }}' 'AfterHealthy={{ AfterHealthy }}' 'Releases={{ Releases }}'; do
        name=${given%%=*} value=${given#*=}
        eval "$name=\${SSM_$name-\$value}"
        # In a run by hand a missing value still has its braces. No valid value begins with one.
        eval "case \$$name in '{'*) $name= ;; esac"
    done
    Update=${Update:-rebase} Timeout=${Timeout:-600} Cause=${Cause:-manual}
}

# shellcheck disable=SC2154 # eval has assigned them
check_parameters() {
    an=A-Za-z0-9
    check_value Target a-z0-9 a-z0-9- 50
    known_target=$Target # not in the result before it is checked
    check_value Repository $an "${an}._/-" 170
    check_value Checkout / "${an}./@+=,_-" 600
    check_value Branch "${an}_" "${an}./@+=,#%_-" 200
    check_value Timeout 1-9 0-9 6
    check_value Commit 0-9a-f 0-9a-f 40 optional
    check_value Issued 0-9 0-9 15 optional
    for name in AfterPull BeforeRestart AfterHealthy; do
        check_value $name "${an}._" "${an}._/+-" 201 optional
        case /$value/ in */../* | */.git/*) refuse_value $name ;; esac
    done
    check_value Drain a "${an}:/,-" 519 optional
    check_value Restart "${an}_" "${an}.:@,_-" 401 optional
    check_value HealthCheck h "${an}.:/?&=%~+,;@#*!()_-" 408 optional
    check_value Paths "${an}_.*?/@+=:" "${an}_.*?/@+=:,!-" 401 optional
    check_value Releases 1-9 "${an}._/,-" 401 optional
    shared_paths=${Releases#"${Releases%%,*}"}
    case ${Releases%%,*}:$shared_paths, in
        *[!0-9]*:* | *,[,/-]* | *..* | *.git[/,]*) refuse_value Releases ;;
    esac
    check_value Clone $an "${an}.:/@_-" 180 optional
    [ -z "$Clone" ] || check_value Owner A-Za-z_ "${an}._-" 32
    case ${Repository#*/} in
        "$Repository" | */* | '' | . | ..) refuse_value Repository ;;
    esac
    case $Checkout/ in */../*) refuse_value Checkout ;; esac
    case /$Branch/ in
        *..* | *//* | */.* | *./* | *.lock/* | /HEAD/ | /refs/*) refuse_value Branch ;;
    esac
    follows=branch
    case $Update/$Commit in
        exact/ | tag/ | *-to/ | drop/) finish bad_parameter "$Update needs a Commit" ;;
        exact/* | rebase-to/* | reset-to/*) goes_to_commit=yes Update=${Update%-to} ;;
        tag/* | tag-to/*) goes_to_commit=$Update follows=tag Update=exact ;;
        check-tag/*) goes_to_commit=yes follows=tag Update=check Clone='' ;;
        check/* | saved/* | drop/*) Clone='' ;; # these make nothing
        rebase/* | reset/*) ;;
        *) refuse_value Update ;;
    esac
    case $Cause in
        push | reconcile | rollback | manual) ;;
        *) refuse_value Cause ;;
    esac
    [ "$Timeout" -ge 20 ] || refuse_value Timeout
    case ${#Commit} in 0 | 40) ;; *) refuse_value Commit ;; esac
    case $HealthCheck in
        '' | http://?* | https://?*) ;;
        *) refuse_value HealthCheck ;;
    esac
    [ -z "$Restart" ] || check_units
    case ,$Paths, in
        ,,) ;;
        *,,* | *[!,]:* | *:[!!]* | *[!:]!* | *!,* | *[,!]-* | *,*,*,*,*,*,*,*,*,*,*,*,*)
            refuse_value Paths
            ;;
    esac
    # The built script has short names for these.
    checkout_path=$Checkout branch_name=$Branch asked_commit=$Commit update_mode=$Update health_url=$HealthCheck
    release_settings=$Releases after_pull_program=$AfterPull target_name=$Target repository_name=$Repository
    restart_units=$Restart owner_user=$Owner
    before_restart_program=$BeforeRestart after_healthy_program=$AfterHealthy
}

# Refuse a value that is empty or too long, or whose first or other characters are not allowed.
check_value() { # name first rest longest [optional]
    eval "value=\$$1"
    case $value in
        '') [ $# -eq 5 ] ;;
        [!$2]* | ?*[!$3]*) false ;;
    esac && [ ${#value} -le "$4" ] || refuse_value "$1"
}

# Allow only types of units that run a site's programs. Starting a .target stops or changes other units.
check_units() {
    units_left=$Restart,
    while [ "$units_left" ]; do
        this_unit=${units_left%%,*} units_left=${units_left#*,}
        file_name=$this_unit
        case $this_unit in
            '' | [!A-Za-z0-9_]*) refuse_value Restart ;;
            *.service | *.socket | *.timer | *.path) ;;
            *.*) refuse_value "Restart: $this_unit" ;;
            *) file_name=$this_unit.service ;;
        esac
        refuse_unit_of_machine "$file_name"
        # On this host the name may be an alias of such a unit, or of its template.
        for one_folder in /etc /run /usr/local/lib /usr/lib /lib; do
            for this_link in "$one_folder/systemd/system/$file_name" \
                "$one_folder/systemd/system/${file_name%%@*}@.${file_name##*.}"; do
                [ ! -L "$this_link" ] || refuse_unit_of_machine "$(readlink -f "$this_link")"
            done
        done
    done
}

# Refuse units that stop the machine, stop all other units, or open a root shell on the console.
# Instances of templates count, too. chalicelib/core/units.py has the same names.
refuse_unit_of_machine() { # unit
    name=${1##*/} name=${name%.*}
    case ${name%%@*} in
        systemd-poweroff | systemd-reboot | systemd-halt | systemd-kexec | systemd-soft-reboot | systemd-exit | \
            systemd-suspend | systemd-hibernate | systemd-hybrid-sleep | systemd-suspend-then-hibernate | \
            systemd-hibernate-resume | systemd-sysupdate-reboot | systemd-factory-reset* | \
            poweroff | reboot | halt | kexec | shutdown | single | rescue | rescue-ssh | emergency | \
            debug-shell | console-shell | system-update-cleanup | packagekit-offline-update | initrd-* | dracut-*)
            finish bad_parameter "Restart takes no unit that stops the machine, isolates it or opens a root shell: $this_unit"
            ;;
    esac
}

refuse_value() { # parameter
    finish bad_parameter "$1 is not valid: see docs/host.md"
}
