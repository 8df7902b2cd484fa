"""Kafka data integrity: brokers under fault, recorded histories, and the checks that judge them."""
