"""The command `pilotlight`: deploy, call and watch the stacks of this repository, on the local twin or in a cloud."""
