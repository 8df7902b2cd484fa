Feature: Messages keep the order in which they were sent
  The messages that one publisher sends to one partition lie there, and are read, in the order of sending.
  Not promised: any order between messages in different partitions, or between different publishers.

  Rule: A partition keeps the order of each publisher's messages
    Publishers send idempotently, as Kafka's own clients do unless told otherwise.
    Not promised: that order when a publisher is not idempotent and sends again what it thinks was lost.

    Scenario: One publisher's messages keep their order in one partition
      Given a running broker
      And a topic with 1 partition
      When a publisher sends 10,000 messages
      Then every acknowledged message is read once, in order and unchanged

    Scenario: One publisher's messages keep their order in each of many partitions
      Given a running broker
      And a topic with 12 partitions
      When a publisher sends 12,000 messages to all partitions in turn
      Then every partition holds 1,000 messages
      And every acknowledged message is read once, in order and unchanged

    Scenario: Each publisher's messages keep their order when several publish at once
      Given a running broker
      And a topic with 2 partitions
      When 4 publishers send 2,500 messages each at the same time
      Then the messages of different publishers are mixed in every partition
      And every acknowledged message is read once, in order and unchanged

  Rule: Messages with the same key go to the same partition
    So they keep their order, however many partitions there are.
    Not promised: the same partition once partitions are added, or by a publisher that chooses partitions its own way.

    Scenario: Messages with the same key are in one partition and in order
      Given a running broker
      And a topic with 6 partitions
      When 3 publishers send 3,000 messages each with 60 different keys
      Then all messages with the same key are in the same partition
      And the keys are spread over all partitions
      And every acknowledged message is read once, in order and unchanged
