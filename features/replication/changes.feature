@cluster
Feature: Leaders, replicas and partitions change while the work goes on
  An operator may hand the lead to another broker, move replicas, and add partitions at any time.
  Not promised: that a key stays in its partition when partitions are added.

  Background:
    Given three running brokers

  Rule: The lead can be handed from broker to broker
    Every broker that is in sync can be made the one that is preferred, and then be elected.
    Not promised: that clients need not look for the new leader.

    Scenario: Nothing is lost when every broker in turn is elected as the preferred leader
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 2 publishers are at work
      And a reader follows them
      When every broker in turn is made the preferred leader and elected
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

  Rule: Replicas can be moved from broker to broker
    Also that of the leader: a broker that has everything takes over before the old one is let go.
    Not promised: how long a move takes.

    Scenario: Nothing is lost when all replicas are moved around all brokers
      Given a topic with 3 partitions and 2 replicas, 2 of which must be in sync
      And 2 publishers are at work
      And a reader follows them
      When all replicas are moved from broker to broker until they are where they were
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

  Rule: Partitions can be added
    What was there stays where it is.
    Not promised: that publishers and readers at work notice the new partitions at once.

    Scenario: Nothing is lost when partitions are added
      Given a topic with 2 partitions and 3 replicas, 2 of which must be in sync
      And 2 publishers are at work
      And a reader follows them
      When 2 partitions are added, and one more publisher begins
      Then the work goes on
      And every one of 4 partitions holds messages
      And every acknowledged message is read once, in order and unchanged
