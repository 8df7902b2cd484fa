@severable_cluster
Feature: There is one history, whoever is cut off from whom
  A leader that the others cannot reach still believes that it leads, while they choose another one. What it stores
  alone is not acknowledged, and it gives that up when it meets the others again.
  Not promised: that both sides of a cut network can be worked with.

  Background:
    Given three running brokers
    And a topic with 1 partition and 3 replicas, 2 of which must be in sync

  Rule: When the network heals, everybody agrees with those who were the majority
    Clients reach all brokers all the time, the one that is cut off as well.
    Not promised: that what the old leader stored alone is kept, or that a client that still reaches it is told of the new
    leader before the network heals.

    Scenario: A leader that was cut off acknowledges nothing, and nobody sees what it alone had stored
      Given 2 impatient publishers are at work, which soon send again what is not acknowledged
      And an impatient reader follows them
      When the leader is cut off from the other brokers until they go on without it, and connected again
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And nothing that only the old leader had was acknowledged, or is seen by anybody
      And all replicas hold the same messages

    Scenario: Nothing is lost when the controller is cut off from the other brokers
      Given 2 impatient publishers are at work, which soon send again what is not acknowledged
      And an impatient reader follows them
      When the controller is cut off from the other brokers until they go on without it, and connected again
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

  Rule: Clients that cannot reach a broker go on when they reach it again
    The brokers reach each other all the time, so there is no reason for them to choose another leader. A reader that is
    cut off as well gets nothing meanwhile, and goes on where it was.
    Not promised: that clients can publish to a leader they do not reach.

    Scenario: Nothing is lost when the clients are cut off from the leader
      Given clients that reach the brokers over a network that can be cut
      And 2 publishers are at work
      And a reader follows them
      When the clients are cut off from the leader until all of them wait, and connected again
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

    Scenario: Nothing is lost when one publisher is cut off from the leader, and nobody else
      Given clients that reach the brokers over a network that can be cut
      And 2 publishers are at work
      And a reader follows them
      When one publisher is cut off from the leader until it waits, while everybody else gets on, and connected again
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
