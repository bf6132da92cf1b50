"""Pure data, no framework: mechanisms, backbones, data sets, and the names that they make."""
