"""sagatrace_tui: the explorer of traces, as an app and on the command line."""
