"""Recipes: what a run depends on, as YAML and as flags, and which choices contradict each other."""
