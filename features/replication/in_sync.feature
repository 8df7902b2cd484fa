@cluster
Feature: Publishing is refused while too few replicas are in sync, and none that missed messages leads
  A topic can say how many replicas must have a message before it is acknowledged. While fewer are in sync, its leader
  refuses what is published with an acknowledgement from all of them.
  Not promised: anything for publishers that ask for less than all.

  Rule: What is refused is not there, and publishing goes on when enough are back
    A publisher may give up a refused message or try it again; either way its outcome is told truthfully.
    Not promised: that a refused message can be published before the missing replica is back; or that a message is gone
    which was under way when the replica dropped out: its publisher may be told that it was stored by too few.

    Scenario: Nothing is acknowledged by too few replicas, and nothing that was refused shows up
      Given three running brokers
      And a topic with 1 partition and 3 replicas, 3 of which must be in sync
      And a publisher is at work that gives up at once what is refused
      And a publisher is at work
      And a reader follows them
      When the follower is killed, and started again after publishing was refused
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

  Rule: A follower that missed messages does not lead, whoever else is away
    A topic has nobody lead it rather than lose what was acknowledged, unless it is told otherwise.
    Not promised: that anything can be published or read until a replica is back that has everything.

    Scenario: A partition waits for its leader when the only other replica has missed messages, and nothing is lost
      Given three running brokers
      And a topic with 1 partition and 2 replicas, 1 of which must be in sync
      When the leader acknowledges 1,000 messages alone, is killed, and is started again after nobody took over
      Then every acknowledged message is read once, in order and unchanged
      And all replicas hold the same messages
