"""Azure's half of the command: where it touches what a stack holds there."""
