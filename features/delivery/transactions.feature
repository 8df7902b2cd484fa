Feature: A transaction is seen whole or not at all
  A transactional publisher has messages of several partitions and topics seen all together, or none of them.
  Not promised: anything of that to a reader that asks for uncommitted messages as well.

  Rule: What was committed is seen whole, and what was aborted is not seen
    Not promised: that a reader gets a transaction's messages at one moment; each partition is read for itself.

    Scenario: Transactions of several publishers over several topics are seen whole or not at all
      Given a running broker
      And a topic with 3 partitions
      And a topic with 2 partitions
      When 3 publishers commit 4 transactions each and abort as many, all at the same time
      Then a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones

    Scenario: Transactions are seen whole or not at all although the connection is cut at every step of them
      Given a running broker
      And a topic with 3 partitions
      And a network that can fail
      When a publisher commits and aborts transactions, and the connection is cut at every step of them
      Then a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones

  Rule: A publisher whose place was taken, or whose time is over, can commit nothing
    A successor with the same transactional id has what was left open aborted; so does the broker, when time is over.
    Not promised: that the publisher learns of it before it tries to go on.

    Scenario: A publisher whose successor has begun is refused, and nothing of its open transaction is seen
      Given a running broker
      And a topic with 3 partitions
      And a publisher has left a transaction open, and its successor has begun
      When that publisher goes on and tries to commit
      Then it is refused
      And a reader of committed messages sees nothing of it
      And every other message is read once, in order and unchanged

    Scenario: A publisher whose transaction has timed out is refused, and nothing of that transaction is seen
      Given a running broker
      And a topic with 3 partitions
      And a publisher has left a transaction open until it timed out
      When that publisher goes on and tries to commit
      Then it is refused
      And a reader of committed messages sees nothing of it
      And every other message is read once, in order and unchanged

  Rule: A reader of committed messages waits where the first open transaction begins
    That place is the last stable offset. What others commit behind it has to wait as well.
    Not promised: that an open transaction ends soon; a reader may have to wait for its time-out.

    Scenario: The last stable offset passes no open transaction while others publish and commit behind it
      Given a running broker
      And a topic with 3 partitions
      And 300 messages were acknowledged
      And a reader of committed messages follows
      And a transaction with a message in every partition is open
      When others publish and commit behind it 5 times, and then it is committed
      Then the last stable offset was never beyond its first message
      And a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones

  Rule: A group that reads, and writes what it makes of it, does so exactly once
    It does both in one transaction: what it writes, and how far it has read. Here it makes a copy of every message.
    Not promised: anything it does elsewhere, in a database say, at the same time.
    Known defect of Kafka 4.3.1: a commit that was acknowledged right before its coordinator crashed may be lost in any
    partition that has no leader while the coordinator recovers; where there is one broker only, that is all of them.

    Scenario Outline: Every message is copied exactly once although <what happens>
      Given a running broker
      And a network that can fail
      And a group whose members copy every message from one topic to another in transactions
      When <what happens> while it copies
      Then every message is copied exactly once, in order and unchanged

      Examples:
        | what happens                                            |
        | the broker is killed and started again                  |
        | connections are cut before answers arrive               |
        | members of the group die in the middle of a transaction |
