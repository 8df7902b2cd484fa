Feature: What was removed on purpose stays removed, and nothing else goes with it
  Brokers remove messages by key (compaction), by age (retention) and on request. Not promised: when they do; a message
  that may be removed may still be read for any time.

  Rule: Compaction keeps the latest value of each key, and deletions for as long as the topic says
    Not promised: that any earlier value is still there, or that it is gone; that a deletion itself can be read for longer
    than the topic keeps deletions (a day unless it says otherwise; in one of the two here no time at all).

    Scenario: The latest value of each key survives compaction and a crash, and deleted keys do not come back
      Given a broker that cleans up all the time
      And a topic with 2 partitions that keeps the latest value of each key
      And a topic with 2 partitions that keeps the latest value of each key, and deletions for a day
      And 30 values for each of 100 keys were acknowledged on both, and the deletion of 10
      And both topics were compacted
      When the broker is killed and started again
      Then a reader finds the latest value of each key, and no deleted key
      And a reader of the topic that keeps deletions finds every one of them
      And every acknowledged message is read once, in order and unchanged

  Rule: What has expired or was deleted does not come back, and what follows stays
    Not promised: that a deletion which the broker has not noted yet survives a crash.

    Scenario: Expired messages stay away and newer ones stay when the broker is killed
      Given a broker that cleans up all the time
      And a topic with 2 partitions that keeps messages for a day
      And 2,000 messages that are days old have expired, and 2,000 new ones were acknowledged
      When the broker is killed and started again
      Then what was removed stays removed
      And every acknowledged message is read once, in order and unchanged

    Scenario: Deleted messages stay away and the others stay when the broker is stopped
      Given a running broker
      And a topic with 3 partitions
      And 6,000 messages were acknowledged
      And the first 500 messages of each partition were deleted
      When the broker is stopped and started again
      Then what was removed stays removed
      And every acknowledged message is read once, in order and unchanged

    Scenario: Deleted messages stay away and the others stay when the broker is killed after it has noted the deletion
      Given a broker that cleans up all the time
      And a topic with 3 partitions
      And 6,000 messages were acknowledged
      And the first 500 messages of each partition were deleted
      And the broker has noted where its logs begin now
      When the broker is killed and started again
      Then what was removed stays removed
      And every acknowledged message is read once, in order and unchanged
