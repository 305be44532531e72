"""What the workflows of a fork run beside `pilotlight` itself. Standard library only where no `make setup` has been run."""
