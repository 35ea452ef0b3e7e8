"""The audit log: one line for each decision, in files that show whether anybody changed them."""
