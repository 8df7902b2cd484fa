Feature: Messages are delivered in order, once and complete
  What a publisher sends to a topic is what a reader of that topic gets. Not promised: any order between
  messages in different partitions.

  Rule: A reader gets what was sent, as it was sent
    The topic has one partition, so its messages have one order.
    Not promised: that a message is read at once; a reader may come at any later time.

    Scenario: Three messages are read in order, without duplicates and with nothing missing
      Given a running broker
      And the messages "Message 1", "Message 2" and "Message 3" were produced to topic "data_integrity_topic"
      When a consumer group reads topic "data_integrity_topic" from the beginning
      Then the order of the messages is preserved
      And no message is there twice
      And no message is missing
