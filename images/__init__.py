"""A Docker image of Apache Kafka that is built without an image registry."""
