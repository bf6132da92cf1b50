"""One module a command: `add_arguments(parser)` and `run(args)`. None imports a framework before it runs."""
