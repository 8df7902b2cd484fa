Feature: What a broker knows of its publishers survives
  An idempotent publisher numbers its batches, so that the broker knows one that it has already; a transactional one
  has its messages seen all together or not at all. Both must survive the broker.
  Not promised: any of it for a publisher without idempotence.

  Background:
    Given a running broker
    And a topic with 3 partitions

  Rule: A batch that is sent again after a crash is known again
    It is sent again when its acknowledgement was lost, with the number it had.
    Not promised: that a batch is known for ever; the broker remembers a publisher's last five.

    Scenario: A message is not there twice when its publisher sends it again after the broker was killed
      Given 3,000 messages were acknowledged
      When the broker is killed and started again, and the publisher sends once more what it sent last
      Then every acknowledged message is read once, in order and unchanged

  Rule: Committed transactions stay whole, aborted ones unseen, and one that was open ends in one way or the other
    Not promised: anything to a reader that asks for uncommitted messages as well; or that an open transaction ends by
    itself at once. What nobody ends, the broker aborts after the transaction's time-out.

    Scenario Outline: Ended transactions stay what they are, and one that was open when the broker was killed can be <ended>
      Given 2 transactions of 500 messages were committed, and as many aborted
      And a transaction with 500 acknowledged messages is open
      When the broker is killed and started again
      And the open transaction is <ended>
      Then a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones

      Examples:
        | ended               |
        | committed           |
        | aborted             |
        | left to a successor |
