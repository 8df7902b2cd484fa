@cluster
Feature: What only one broker has goes with that broker
  Replicas protect what they have a copy of. Whoever settles for less than an acknowledgement from all replicas in sync, or
  for one replica in sync, may lose acknowledged messages. These scenarios show that it happens, and that it is found.

  Rule: An acknowledgement from the leader alone says nothing about copies
    What protects: publishers that wait for all replicas in sync.

    Scenario: Messages that only the leader had acknowledged are lost with the leader, and the loss is found
      Given three running brokers
      And a topic with 1 partition and 3 replicas, 2 of which must be in sync
      When the leader acknowledges 1,000 messages before its followers have them, and is killed
      Then acknowledged messages are found to be lost on disk

  Rule: A follower that missed messages and is made the leader takes them from everybody
    What protects: waiting for a replica that missed nothing, as topics do unless they are told otherwise.

    Scenario: Messages are lost when a follower that missed them becomes the leader, and the loss is found
      Given three running brokers
      And a topic with 1 partition and 2 replicas, 1 of which must be in sync, and any of which may lead
      When the leader acknowledges 1,000 messages alone, is killed, and a follower without them takes over
      Then acknowledged messages are found to be lost on disk

  Rule: What no replica has flushed goes when all of them lose their power
    What protects: brokers that do not lose their power together, or a flush for every message.

    Scenario: Messages are lost when all replicas lose their power at the same time, and the loss is found
      Given three running brokers
      And a topic with 1 partition and 3 replicas, 2 of which must be in sync
      And 1,000 messages were acknowledged
      When the power fails at all brokers at the same time
      Then acknowledged messages are found to be lost on disk

  Rule: The last replica in sync has no copy of what it has not flushed
    What protects: a topic that needs two replicas in sync, and refuses to go on with one.

    Scenario: Messages are lost when the last replica in sync loses its power, and the loss is found
      Given three running brokers
      And a topic with 1 partition and 2 replicas, 1 of which must be in sync
      When the leader acknowledges 1,000 messages alone and loses its power
      Then acknowledged messages are found to be lost on disk

  Rule: A follower that crashed is not trusted to have everything, even if it has
    With nobody left who is, the last leader leads again, with what it still has, and the follower cuts off the rest.
    What protects: one more replica that stays up, or a flush for every message.

    Scenario: Messages are lost with the leader's power although a follower that crashed has them all, and the loss is found
      Given three running brokers
      And a topic with 1 partition and 2 replicas, 2 of which must be in sync
      And 1,000 messages were acknowledged
      When the follower is killed and the leader loses its power, and both are started again, the follower first
      Then acknowledged messages are found to be lost on disk
