@cluster
Feature: Acknowledged messages survive lost successors and silent leaders
  A partition has a replica on each of three brokers. The one that is lost may have two roles, the one that takes over may
  be lost as well, and one that was only silent may wake up and believe that it still leads.
  Not promised: that clients notice nothing.

  Background:
    Given three running brokers

  Rule: Whoever takes over has every acknowledged message
    That holds when both roles of a broker pass on at once, and for every leader after the first.
    Not promised: that the work goes on while more brokers are down than replicas may be out of sync.

    Scenario: Nothing is lost when the broker that is leader and controller at once is killed
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync, led by the controller
      And 2 publishers are at work
      And a reader follows them
      When the leader and controller is killed and started again in the middle of it
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

    Scenario: Nothing is lost when one leader after the other is killed
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 2 publishers are at work
      And a reader follows them
      When whoever is the leader is killed and started again, 3 times in a row
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

  Rule: A broker that falls silent is given up, and does no harm when it is back
    It wakes up believing that it still has its role, and finds that the others have gone on without it.
    Not promised: that clients wait for a silent broker; those that do not turn to the others.

    Scenario Outline: Nothing is lost or doubled when the <role> is frozen and the others go on without it
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 2 impatient publishers are at work, which soon send again what is not acknowledged
      And an impatient reader follows them
      When the <role> is frozen until the others have given it up, and thawed
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

      Examples:
        | role       |
        | leader     |
        | follower   |
        | controller |
