Feature: A commit that is late may commit the next transaction
  A publisher whose request to commit is not answered asks again. If the first request was only late, the broker may take
  it for the commit of the transaction that has begun since, for nothing tells one of a publisher's transactions from the
  next. This is a known gap in Kafka's protocol (KAFKA-17754), for every client that does not number its transactions.

  Rule: A reader of committed messages may see messages of a transaction that was aborted
    What protects: a client that is given a new number, its epoch, with every transaction (KIP-890), as Kafka's own is by
    now; the late request then has an old number, and is refused. The clients of this suite keep theirs.

    Scenario: An aborted transaction is seen when the commit of the one before it arrives late, and that is found
      Given a running broker
      And a topic with 1 partition
      And a network that can fail
      When a commit is held on its way, sent again, and arrives when the publisher's next transaction is open
      Then a reader of committed messages is found to see the next transaction, although it was aborted
