@cluster
Feature: Acknowledged messages survive what happens to several of three brokers
  A message is acknowledged when every replica in sync has it, on a disk or not. As long as one of those replicas stays
  up, or all of them come back with it, it is there. Not promised: that clients can work while too few brokers are up; or
  that a replica which crashed is trusted to have everything when the last one in sync loses what it had.

  Background:
    Given three running brokers
    And a topic with 3 partitions and 3 replicas, 2 of which must be in sync
    And 2 publishers are at work
    And a reader follows them

  Rule: Brokers can be restarted one after the other while the work goes on
    Each is stopped when all replicas are in sync again.
    Not promised: the same for a broker that is stopped before the last one has caught up.

    Scenario: Nothing is lost when every broker is restarted, one after the other
      When every broker is stopped and started again, one after the other
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

  Rule: What was acknowledged is there when all brokers have crashed and come back
    Their machines stay up, so what they have written is in their files.
    Not promised: the same when the machines of all of them lose their power at once.

    Scenario: Nothing is lost when every broker is killed at the same time
      When every broker is killed at the same time, and all are started again
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

  Rule: What one replica has lost with its power it gets again from the others
    Nothing that these brokers write is flushed at once. One that comes back with less than it had is no longer taken for
    in sync, and does not lead before it has everything again.
    Not promised: that a message survives whose replicas have all lost it.

    Scenario: Nothing is lost when the leader loses its power and with it what it had not flushed
      When the power fails at the leader
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

    Scenario: Nothing is lost when the leader and a follower lose their power at the same time
      When the power fails at the leader and the follower at the same time
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

  Rule: A broker whose disk was replaced is given everything by the others
    Its new disk is formatted for the same broker of the same cluster. It is let in, and may lead, when it has caught up.
    Not promised: that a message survives which only the old disk had; or that a cluster survives an empty disk, on which
    its account of itself is gone as well, while another broker is away.

    Scenario: Nothing is lost when a follower comes back with an empty disk, and leads
      When the follower is killed, and started again with an empty disk
      And it is elected as the leader of every partition
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages
