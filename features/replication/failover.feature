@cluster
Feature: Acknowledged messages survive the loss of any one of three brokers
  A partition has a replica on each of three brokers; one of them leads, the others follow, and one broker is the
  controller of them all. When one goes, the others take over its roles, and its clients find them.
  Not promised: that a message which was never acknowledged is there, or that clients notice nothing.

  Background:
    Given three running brokers

  Rule: When a broker goes down, the others take over and the work goes on before it is back
    The publishers are idempotent and wait for all replicas in sync, so nothing they send again is there twice.
    Not promised: how soon the others notice; while they do not, clients wait.

    Scenario Outline: Nothing is lost when the <role> is <taken down> in the middle of publishing
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 2 publishers are at work
      And a reader follows them
      When the <role> is <taken down> and started again in the middle of it
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | role       | taken down |
        | leader     | killed     |
        | leader     | stopped    |
        | follower   | killed     |
        | controller | killed     |

    Scenario: Nothing is lost when the broker that is leader and controller at once is killed
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync, led by the controller
      And 2 publishers are at work
      And a reader follows them
      When the leader is killed and started again in the middle of it
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

    Scenario: Nothing is lost when one leader after the other is killed
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 2 publishers are at work
      And a reader follows them
      When whoever is the leader is killed and started again, 3 times in a row
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

  Rule: A broker that falls silent is given up, and does no harm when it is back
    It wakes up believing that it still has its role, and finds that the others have gone on without it.
    Not promised: that clients wait for a silent broker; those that do not turn to the others.

    Scenario Outline: Nothing is lost or doubled when the <role> is frozen and the others take over
      Given a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 2 impatient publishers are at work, which soon send again what is not acknowledged
      And an impatient reader follows them
      When the <role> is frozen until the others have given it up, and thawed
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | role       |
        | leader     |
        | controller |
