Feature: Without idempotence a message may be there twice
  A publisher that is not idempotent sends again what was not acknowledged, and the broker cannot know it again.

  Rule: What is sent again is appended again
    What protects: idempotence, which is the default of both clients of this suite's publishers.

    Scenario: A message is there twice when a publisher without idempotence sends it again, and that is found
      Given a running broker
      And a topic with 3 partitions
      And 3,000 messages were acknowledged to a publisher without idempotence
      When the broker is killed and started again, and the publisher sends once more what it sent last
      Then messages are found to be there twice
