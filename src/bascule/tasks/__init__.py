"""The tasks extension: calls that go on after their answer. Loaded by the first tool that may become a task."""
