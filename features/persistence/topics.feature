Feature: Topics keep their settings, their partitions and their messages' times
  What is known of a topic beside its messages survives with them. Not promised: that a change is in force on every
  broker at the moment it is acknowledged.

  Rule: A topic is after a crash as it was made and changed before
    What is said of it is in force as well: a topic that is compacted takes no message without a key, as these are, and
    this one is no longer.
    Not promised: where the messages of a key go once there are more partitions.

    Scenario: A topic keeps its settings, what was changed of them, and its added partitions when the broker is killed
      Given a running broker
      And a topic with 2 partitions and the settings
        | setting           | value   |
        | cleanup.policy    | compact |
        | compression.type  | zstd    |
        | max.message.bytes | 654321  |
      And these settings of it were changed
        | setting           | value  |
        | cleanup.policy    | delete |
        | max.message.bytes | 765432 |
      And 3 partitions were added to it
      When the broker is killed and started again
      Then the topic has 5 partitions and the settings as they were made and changed
      When a publisher sends 3,000 messages to all partitions in turn
      Then every one of 5 partitions holds messages
      And every acknowledged message is read once, in order and unchanged

  Rule: Messages are found by their time as before
    Not promised: anything about the time of a message that its publisher did not set; it is that of the client's clock,
    or of the broker's where the topic says so.

    Scenario: Messages keep their times and are found by them when the broker is killed
      Given a running broker
      And a topic with 3 partitions that keeps messages of any age
      And a day of messages was acknowledged, and where each of its hours begins was noted
      When the broker is killed and started again
      Then each hour begins at the same offsets as before
      And every acknowledged message is read once, in order and unchanged
