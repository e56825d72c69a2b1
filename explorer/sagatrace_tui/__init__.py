"""sagatrace_tui: reads traces and shows them, as an app and on the command line."""
