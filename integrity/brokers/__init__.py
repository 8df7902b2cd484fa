"""Real brokers: embedded processes, containers, and clusters that someone else runs."""
