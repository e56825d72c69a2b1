"""Widgets, one pane in each file. Data comes in by reactives, intent goes out by messages. No widget reads a store."""
