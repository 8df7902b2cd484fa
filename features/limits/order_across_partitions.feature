Feature: There is no order across partitions
  Each partition has an order of its own; a reader of several partitions gets them interleaved as they come.
  Whoever needs one order for all messages gives the topic one partition, or all of them one key.

  Rule: A reader may get a later message of one partition before an earlier one of another
    This shows that the promise of order is about one partition, and that it is a real limit.
    Not promised: that the messages of several partitions come in the order in which they were sent.

    Scenario: Messages sent to several partitions in turn are not read in the order of sending
      Given a running broker
      And a topic with 4 partitions
      When a publisher sends 8,000 messages to all partitions in turn
      Then a reader of all partitions gets later messages before earlier ones
      But every acknowledged message is read once, in order and unchanged
