Feature: Acknowledged messages survive whatever ends the broker's process
  Clients are at work while the broker is taken down, and get on with it when the broker is back: publishers send
  again what was not acknowledged, readers go on where they were. Not promised: that a message which was under way
  and never acknowledged is there; or any of this when the whole machine goes, as with a power loss.

  Background:
    Given a running broker
    And a topic with 3 partitions

  Rule: A broker that goes down takes nothing with it that it has acknowledged
    The publishers are idempotent, so what they send again is not there twice.
    Not promised: that publishing succeeds at once; while the broker is down its clients wait.

    Scenario: Everything acknowledged is read back after the broker was killed and started
      Given 10,000 messages were acknowledged
      When the broker is killed and started again
      Then every acknowledged message is read once, in order and unchanged

    Scenario Outline: Nothing is lost when the broker is <taken down> in the middle of publishing
      Given 2 publishers are at work
      When the broker is <taken down> and started again in the middle of it
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | taken down |
        | stopped    |
        | killed     |

    Scenario: Nothing is lost when the broker is killed again and again
      Given 2 publishers are at work
      And a reader follows them
      When the broker is killed and started again 10 times in a row
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

    Scenario: Nothing is lost when the broker is killed while it recovers from being killed
      Given 2 publishers are at work
      When the broker is killed, and killed 2 times more while it is still recovering
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

  Rule: A reader goes on where it was, without a gap and without going back
    It is a reader that was assigned its partitions and knows its own position.
    Not promised: where a reader goes on that is a member of a group; that depends on what it has committed.

    Scenario: A reader misses nothing and sees nothing twice when the broker is killed in the middle of its poll
      Given a publisher is at work
      And a reader follows it
      When the broker is killed and started again in the middle of it
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

  Rule: A broker that was silent for a while goes on as if nothing had happened
    A frozen broker keeps its connections open and answers nobody, as when its machine is overloaded.
    Not promised: that its clients wait patiently; those that do not send their messages again.

    Scenario: Nothing is lost or doubled when the broker is frozen and thawed
      Given 2 publishers are at work
      And a reader follows them
      When the broker is frozen and thawed
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged

    Scenario: Nothing is lost or doubled when the broker is frozen for longer than its session and its publishers wait
      Given 2 impatient publishers are at work, which soon send again what is not acknowledged
      When the broker is frozen for longer than its session lasts and thawed
      Then the work goes on
      And every acknowledged message is read once, in order and unchanged
