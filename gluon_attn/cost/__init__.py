"""What networks cost when they run: jobs to be timed, ratios of times, memory (`gluon-attn benchmark`)."""
