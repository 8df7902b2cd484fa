Feature: A group loses sight of messages that it commits before it has processed them
  A committed offset says that everything before it is done. Kafka takes a group's word for it, and most clients commit
  by themselves, at intervals, what they have handed out; whether the work on it is done they do not know.
  Whoever must not miss a message commits after the work.

  Rule: What was committed is not handed out again, processed or not
    This shows why a group that hands its work on should not let its client commit by itself.
    Not promised: that a message was processed because it was committed.

    Scenario: A member that commits automatically dies, and its unfinished messages are handed to nobody
      Given a running broker
      And a topic with 1 partition
      And 5,000 messages were acknowledged
      When a member that commits automatically dies before it has processed what it took
      Then the next member of the group is not handed what the dead one had committed and not processed
      And messages are found that were committed before they were processed
