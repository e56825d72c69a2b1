"""`python -m sagatrace_tui` is `sagatrace-tui`."""

from sagatrace_tui.cli import tui_main

if __name__ == "__main__":
    tui_main()
