"""Who works on the twin's Azure, and where: the subscription and the tenant of somebody who has configured none."""

from __future__ import annotations

# What `az login` would have chosen. No tenant of Entra's has such ids: their version digit is 4.
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-00000000000a"
# The developer, who may do everything: the application that signed in, and its principal.
CLIENT = "00000000-0000-0000-0000-0000000000c1"
PRINCIPAL = "00000000-0000-0000-0000-0000000000d1"
