"""One pane a file: data in by reactive, intent out by message; none knows a store."""
