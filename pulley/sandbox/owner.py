"""The owner of the checkouts on emulated hosts: another user if we are root, as on a real host."""

import os
import pwd

AS_ROOT = os.geteuid() == 0
OWNER = pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.geteuid())
