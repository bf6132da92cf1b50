"""Files in: engines that run what was exported."""
