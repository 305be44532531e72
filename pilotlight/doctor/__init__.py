"""What a stack will meet where it goes: looked at before anything is made, told all at once, each with the command that mends it."""
