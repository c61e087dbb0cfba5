"""Runs as people handle them: accepted, started, followed, shown."""
