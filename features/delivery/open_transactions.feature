Feature: Nothing of a transaction is shown before it is committed
  A reader may ask for committed messages only. It then gets everything up to the first transaction that is open, and
  nothing from there on until that has ended. Not promised: anything to a reader that asks for uncommitted messages too.

  Rule: A reader of committed messages waits for a transaction to end
    Not promised: that it gets later messages meanwhile, even those of other transactions that are committed by then.

    Scenario: A reader of committed messages is shown nothing of an open transaction, and all of it once it is committed
      Given a running broker
      And a topic with 3 partitions
      And 2 transactions of 500 messages were committed, and as many aborted
      And a transaction with 500 acknowledged messages is open
      When a reader of committed messages has got the 1,000 that are committed
      And the open transaction is committed
      Then a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones
