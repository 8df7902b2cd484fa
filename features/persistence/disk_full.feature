@own_broker
Feature: Acknowledged messages survive a full disk
  A broker that cannot write any more gives up, and has to be started again when there is room. Not promised: that it
  serves readers meanwhile, or that it warns before the disk is full.

  Rule: What was acknowledged before the disk was full is there once there is room again
    Not promised: that a message is there which could not be written; its publisher was not told that it was.

    Scenario: Nothing is lost when the disk is full in the middle of publishing
      Given a broker with a small disk
      And a topic with 3 partitions
      And a publisher of large messages is at work
      When the disk is full, the broker gives up, and it is started again once there is room
      Then the publisher finishes what it had under way
      And every acknowledged message is read once, in order and unchanged
