"""What looks after the platform while it runs: what operators see and order, metrics and alarms, what is forgotten."""
