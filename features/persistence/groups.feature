Feature: Consumer groups keep their place and their members
  A group's committed offsets and its members are messages too, in a topic of the broker's own.
  Not promised: that a member is not handed again what it had processed and not committed when the broker went down.

  Rule: A group goes on where it had committed
    Not promised: that the group keeps an offset for ever when all of its members are away; offsets expire.

    Scenario: A group that comes back after the broker was killed is handed what it had not committed, and nothing else
      Given a running broker
      And a topic with 3 partitions
      And a consumer group with 1 member that commits what it has processed
      When 3,000 messages are published to all partitions in turn and the group reads to the end
      And the broker is killed and started again
      And a publisher sends 3,000 messages to all partitions in turn
      And the group comes back and reads to the end
      Then every group is handed every message
      And no group is handed a message twice
      And every acknowledged message is read once, in order and unchanged

  Rule: A member stays a member while its broker is away
    Not promised: that it stays one if it is silent itself for longer than its session lasts.

    Scenario: A group at work keeps its members and their partitions when the broker is killed
      Given a running broker
      And a topic with 4 partitions
      And a publisher is at work
      And a consumer group with 2 members at work, whose sessions last longer than a restart
      When the broker is killed and started again in the middle of it
      Then the group has the same members with the same partitions
      And the group gets to the end
      And every group is handed every message
      And nothing is handed out again that the group had committed
      And every acknowledged message is read once, in order and unchanged
