Feature: Acknowledged messages survive damage to what can be made again
  Beside the messages a broker keeps files that it can make again from them: indexes, checkpoints, notes of who led when.
  Losing those costs time at the next start and no message. Not promised: that a message is still there when the log it
  stands in was damaged (promised is that nobody takes the damage for a message); or that what was deleted on request
  stays away when the checkpoint of where logs begin is lost.

  Background:
    Given a running broker

  Rule: What can be made again from the messages may be lost
    By its indexes a broker finds the messages from an offset or a time on; who reads from the beginning needs none.
    Not promised: that indexes overwritten after an orderly stop are noticed; a broker trusts what it closed in order.

    Scenario Outline: Every message is found when the broker is <taken down> and <damage>
      Given a topic with 3 partitions that keeps messages of any age
      And a message for each minute of a day was acknowledged
      When the broker is <taken down>, <damage>, and it is started again
      And a reader starts at offset 400
      Then it gets exactly the messages from offset 400 on
      When a reader starts at noon
      Then it gets exactly the messages from noon on
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | taken down | damage                                     |
        | stopped    | its index files are deleted                |
        | killed     | its index files are overwritten with noise |
        | killed     | its checkpoints are deleted                |

  Rule: What a crash left half written is cut off, up to the last whole batch
    Not promised: that a batch survives of which only a part was written; it was never acknowledged.

    Scenario: Nothing is lost when a crash leaves half a batch at the end of each log
      Given a topic with 3 partitions
      And 3,000 messages were acknowledged
      When the broker is killed, half a batch is left at the end of each log, and it is started again
      And a publisher sends 3,000 messages to all partitions in turn
      Then every acknowledged message is read once, in order and unchanged

  Rule: A crash that looks like an orderly stop loses nothing that reached the files
    The broker then trusts its files and does not go through them.
    Not promised: that this holds after a power loss, which is why the mark is only left after everything was flushed.

    Scenario: Nothing is lost when the broker is killed and the mark of an orderly stop is forged
      Given a topic with 3 partitions that keeps messages of any age
      And a message for each minute of a day was acknowledged
      When the broker is killed, the mark of an orderly stop is forged, and it is started again
      And a publisher sends 3,000 messages to all partitions in turn
      And a reader starts at offset 400
      Then it gets exactly the messages from offset 400 on
      And every acknowledged message is read once, in order and unchanged

  Rule: A message that was damaged on the disk is never read as if it were whole
    Every batch carries a checksum, which the reader checks.
    Not promised: that a reader gets past the damage, that the broker notices it before a reader does, or that a reader
    notices it whose client passes over checksums, as librdkafka does unless it is told otherwise.

    Scenario: A flipped bit in the middle of a log is noticed by the reader, and no damaged message is handed out
      Given a topic with 3 partitions
      And 3,000 messages were acknowledged
      When the broker is stopped, one bit is flipped in the middle of a log, and it is started again
      Then a reader is told that the log is damaged
      And nothing that is read is damaged, out of order or doubled
