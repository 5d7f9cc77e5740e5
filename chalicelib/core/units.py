"""The systemd units that a deploy may restart.

pulley/host/parameters.sh refuses the same units again on the host.
"""

import re

from chalicelib.core.fields import is_match
from chalicelib.core.refs import shown

# No unit of the type .target, like poweroff.target: starting it would stop or change other units.
# systemctl reads a name without a dot as the name of a service.
UNIT_PATTERN = (
    "[A-Za-z0-9_]([A-Za-z0-9_:@-]{0,99}|[A-Za-z0-9_.:@-]{0,99}[.](service|socket|timer|path))"
)
# Go's RE2 repeats a part a thousand times at most; the counts of nested parts are multiplied.
RESTART_PATTERN = f"^({UNIT_PATTERN}(,{UNIT_PATTERN}){{0,9}})?$"

MAX_UNITS_LENGTH = 401  # characters, with the commas, as in the script
MAX_UNITS = 10

# These units stop the machine, stop all other units, or open root's shell on the console. A name
# covers units of each type and each instance.
MACHINE_UNITS = frozenset(
    f"systemd-{name}"
    for name in (
        *("poweroff", "reboot", "halt", "kexec", "soft-reboot", "exit", "sysupdate-reboot"),
        *("suspend", "hibernate", "hybrid-sleep", "suspend-then-hibernate", "hibernate-resume"),
    )
) | {
    *("poweroff", "reboot", "halt", "kexec", "shutdown", "single"),
    *("rescue", "rescue-ssh", "emergency", "debug-shell", "console-shell"),
    *("system-update-cleanup", "packagekit-offline-update"),
}
MACHINE_UNIT_PREFIXES = ("systemd-factory-reset", "initrd-", "dracut-")

_UNIT = re.compile(UNIT_PATTERN)
_UNIT_TYPE = re.compile("[.](service|socket|timer|path)$")


def read_units(value: object) -> tuple[str, ...]:
    """A list of units, as an operator wrote it. Raises ValueError."""
    if not isinstance(value, list) or not all(is_match(_UNIT, unit) for unit in value):
        raise ValueError(
            'must be a list of systemd units, like ["site.service"]: '
            f".service, .socket, .timer or .path; not {shown(value)}"
        )
    if refused := [unit for unit in value if _is_of_machine(unit)]:
        raise ValueError(
            "must not have a unit that stops the machine, isolates it or opens a root shell: "
            f"{shown(refused[0])}"
        )
    if len(value) > MAX_UNITS:
        raise ValueError(f"must not have more than {MAX_UNITS} units")
    if len(",".join(value)) > MAX_UNITS_LENGTH:
        raise ValueError(f"must not have more than {MAX_UNITS_LENGTH} characters of units")
    return tuple(value)


def _is_of_machine(unit: str) -> bool:
    name = _UNIT_TYPE.sub("", unit).partition("@")[0]
    return name in MACHINE_UNITS or name.startswith(MACHINE_UNIT_PREFIXES)
