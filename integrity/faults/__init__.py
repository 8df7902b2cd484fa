"""What is done to a broker, its files and its network while clients work."""
