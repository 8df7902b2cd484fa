Feature: A single broker that crashed cuts a damaged log off where the damage begins
  After a crash a broker goes through the end of its logs that was not flushed, and takes the first batch whose checksum
  is wrong for a write that the crash interrupted. If it was damaged otherwise, whatever stood behind it goes as well.

  Rule: What stands behind damage in a log that was not flushed may be lost in a crash
    What protects: replicas; a broker that lost its end gets it again from the leader.

    Scenario: Acknowledged messages behind a flipped bit are lost when the broker is killed, and the loss is found
      Given a running broker
      And a topic with 3 partitions
      And 3,000 messages were acknowledged
      When the broker is killed, one bit is flipped in the middle of a log, and it is started again
      Then acknowledged messages are found to be lost on disk
