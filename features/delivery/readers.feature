Feature: Readers get every message, each reader and each group for itself
  Reading takes nothing away: a message is there for every reader, whenever it comes, until retention removes it.
  Not promised: that a member of a group gets a message only once; a group gets again what it has not committed.

  Rule: A reader may start wherever it wants
    Not promised: that what retention or compaction has removed can still be read; or that nothing of an earlier time
    follows where a reader starts at a time, and publishers gave times out of order.

    Scenario: A reader that comes later gets the same messages from the beginning
      Given a running broker
      And a topic with 3 partitions
      And 9,000 messages were acknowledged
      When a reader has read everything
      Then a new reader gets the same messages from the beginning
      And every acknowledged message is read once, in order and unchanged

    Scenario: A reader that starts at an offset gets exactly what follows
      Given a running broker
      And a topic with 3 partitions that keeps messages of any age
      And a message for each minute of a day was acknowledged
      When a reader starts at offset 123
      Then it gets exactly the messages from offset 123 on
      And every acknowledged message is read once, in order and unchanged

    Scenario: A reader that starts at a time gets exactly what was sent from then on
      Given a running broker
      And a topic with 3 partitions that keeps messages of any age
      And a message for each minute of a day was acknowledged
      When a reader starts at noon
      Then it gets exactly the messages from noon on
      And every acknowledged message is read once, in order and unchanged

  Rule: Every group gets every message, and its members share them
    A partition is read by one member of a group at a time.
    Not promised: equal shares; a group with more members than partitions has idle ones.

    Scenario: Several consumer groups each get every message
      Given a running broker
      And a topic with 3 partitions
      And 6,000 messages were acknowledged
      When 3 consumer groups of 1 member each read the topic to its end
      Then every group is handed every message
      And no group is handed a message twice
      And every acknowledged message is read once, in order and unchanged

    Scenario: The members of a consumer group share the messages
      Given a running broker
      And a topic with 6 partitions
      And a consumer group with 3 members that commit what they have processed
      When 6,000 messages are published to all partitions in turn and the group reads to the end
      Then every group is handed every message
      And no group is handed a message twice
      And every member is handed a share
      And the group's committed offsets are those that its members committed last
      And every acknowledged message is read once, in order and unchanged

    Scenario: A consumer group that comes back goes on where it had committed
      Given a running broker
      And a topic with 3 partitions
      And a consumer group with 1 member that commits what it has processed
      When 3,000 messages are published to all partitions in turn and the group reads to the end
      And a publisher sends 3,000 messages to all partitions in turn
      And the group comes back and reads to the end
      Then every group is handed every message
      And no group is handed a message twice
      And every acknowledged message is read once, in order and unchanged

  Rule: A group loses nothing when its members change
    What a member has processed and not committed when it goes is handed to another one.
    Not promised: that this happens at once; a member that falls silent is given up only when its session is over.

    Scenario Outline: A consumer group gets every message when a member <changes> in the middle of the work
      Given a running broker
      And a topic with 6 partitions
      And a consumer group with 2 members that commit what they have processed
      When a member <changes> while messages are published and the group works on them
      Then every group is handed every message
      And every member is handed a share
      And nothing is handed out again that the group had committed
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | changes |
        | joins   |
        | leaves  |

    Scenario: What a group's member had not committed when it died is handed to another member
      Given a running broker
      And a topic with 6 partitions
      And a consumer group with 2 members that commit what they have processed
      When a member dies while messages are published and the group works on them
      Then every group is handed every message
      And what the dead member had not committed is handed out again
      And nothing is handed out again that the group had committed
      And every acknowledged message is read once, in order and unchanged
