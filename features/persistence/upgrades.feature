@own_broker
Feature: Messages survive an upgrade and a new container
  The data outlives the program that wrote it and the container that it ran in. Not promised: the way back; a broker
  whose features were raised cannot be replaced by an older one.

  Rule: What an older version has acknowledged is there after the upgrade
    One broker is upgraded in place. Its features, and with them the formats of what it keeps, are raised afterwards, as
    an operator does when the upgrade is to stay.
    Not promised: that clients notice nothing while the broker is down.

    Scenario Outline: Messages, transactions and commits under Kafka <older> survive the upgrade and the raising of features
      Given a broker of version <older>
      And a topic with 3 partitions
      And 3,000 messages were acknowledged
      And 2 transactions of 500 messages were committed, and as many aborted
      And an earlier group has committed an offset in every partition
      When the broker is upgraded to the version under test
      And a publisher sends 3,000 messages
      And its features are raised to those of its version, and it is killed and started again
      Then a reader of committed messages sees every committed transaction whole, and nothing of the aborted ones
      And what an earlier group had committed is still known
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | older |
        | 3.9.1 |
        | 4.0.0 |

  Rule: What was acknowledged is there when the container was made again
    Not promised: anything for data that is not on a volume.

    Scenario Outline: Nothing is lost when the broker is <taken down> and its container is removed and made again
      Given a running broker in a container
      And a topic with 3 partitions
      And 10,000 messages were acknowledged
      When the broker is <taken down>, its container is removed, and a new one is started on the same volume
      Then every acknowledged message is read once, in order and unchanged

      Examples:
        | taken down |
        | stopped    |
        | killed     |
