@cluster
Feature: Acknowledged messages survive the loss of any one of three brokers
  A partition has a replica on each of three brokers; one of them leads, the others follow, and one broker is the
  controller of them all. When one goes, the others take over its roles, and its clients find them.
  Not promised: that a message which was never acknowledged is there, or that clients notice nothing.

  Background:
    Given three running brokers

  Rule: When a broker goes down, the others take over and the work goes on before it is back
    The publishers are idempotent and wait for all replicas in sync, so nothing they send again is there twice. A broker
    that is back gets what it has missed.
    Not promised: how soon the others notice; while they do not, clients wait.

    Scenario Outline: Nothing is lost or doubled when the <role> is <taken down> in the middle of publishing
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And a message was acknowledged that its publisher is going to send again
      And 2 publishers are at work
      And a reader follows them
      When the <role> is <taken down> and started again in the middle of it
      And that message is sent again
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages

      Examples:
        | role       | taken down |
        | leader     | killed     |
        | leader     | stopped    |
        | follower   | killed     |
        | follower   | stopped    |
        | controller | killed     |
        | controller | stopped    |
