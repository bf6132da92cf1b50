"""The standing attack: every kind of file that this package reads, mutated, each case under a limit (`make attack`)."""
