Feature: What a broker knows of its publishers survives
  An idempotent publisher numbers its batches, so that the broker knows one that it has already; a transactional one
  has its messages seen all together or not at all. Both must survive the broker.
  Not promised: any of it for a publisher without idempotence.

  Background:
    Given a running broker
    And a topic with 3 partitions

  Rule: A batch that is sent again after a restart is known again
    It is sent again when its acknowledgement was lost, with the number it had.
    Not promised: that a batch is known for ever; the broker remembers a publisher's last five in each partition, and
    forgets a publisher that has sent nothing for a day.

    Scenario Outline: A message is not there twice when its publisher sends it again after the broker was <taken down>
      Given 3,000 messages were acknowledged
      When the broker is <taken down> and started again, and the publisher sends once more what it sent last
      Then every acknowledged message is read once, in order and unchanged

      Examples:
        | taken down |
        | stopped    |
        | killed     |

  Rule: Committed transactions stay whole, aborted ones stay unseen, and open ones can still be ended either way
    Not promised: anything to a reader that asks for uncommitted messages as well; or that an open transaction ends by
    itself at once (what nobody ends, the broker aborts after the transaction's time-out).
    Known defect of Kafka 4.3.1: a commit that was acknowledged right before its coordinator crashed may be lost in any
    partition that has no leader while the coordinator recovers; where there is one broker only, that is all of them.

    Scenario: Ended transactions stay as they ended when the broker is killed, and open ones can still be ended either way
      Given 2 transactions of 500 messages were committed, and as many aborted
      And 3 publishers have each a transaction with 500 acknowledged messages open
      When the broker is killed and started again
      And one of the open transactions is committed, one is aborted, and one is left to a successor
      Then a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones
