Feature: Without idempotence a message may be there twice
  A publisher that is not idempotent sends again what was not acknowledged, and the broker cannot know it again.

  Rule: What is sent again is appended again
    What protects: idempotence. Kafka's own clients and kafka-python have it by default, librdkafka when it is told to.

    Scenario: A message is there twice when a publisher without idempotence sends it again, and that is found
      Given a running broker
      And a topic with 3 partitions
      And 3,000 messages were acknowledged to a publisher without idempotence
      When the broker is killed and started again, and the publisher sends once more what it sent last
      Then messages are found to be there twice

    Scenario: Messages are there twice when their acknowledgement is lost and there is no idempotence, and that is found
      Given a running broker
      And a topic with 3 partitions
      And a network that can fail
      When a publisher without idempotence sends 3,000 messages in small batches, one at a time, and the connection is cut after messages were stored and before they were acknowledged again and again
      Then messages are found to be there twice

  Rule: What is sent again may come behind what was sent after it
    What protects: idempotence; the broker takes no batch before the one that its publisher sent first. Or one batch at
    a time, at the price of speed.

    Scenario: Messages are out of order when a batch is refused, those after it are not, and there is no idempotence, and that is found
      Given a running broker
      And a topic with 1 partition
      And a network that can fail
      When a publisher without idempotence sends 3,000 messages in small batches, several at a time, and a batch is refused for a moment again and again
      Then messages are found to be out of order
