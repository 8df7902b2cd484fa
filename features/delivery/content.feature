Feature: Messages are delivered unchanged
  A reader gets the key, the value, the headers and the timestamp that a publisher sent, byte for byte.
  Kafka changes none of them. Not promised: that what the bytes say makes sense to the reader.

  Rule: Every byte comes back, and null is not the same as empty
    Not promised: a timestamp of the publisher's own on a topic that takes the broker's time instead.

    Scenario Outline: Messages with <content> come back unchanged
      Given a running broker
      And a topic that keeps messages of any age
      When messages with <content> are published
      Then every acknowledged message is read once, in order and unchanged

      Examples:
        | content                |
        | empty values           |
        | null values            |
        | binary values          |
        | values of one megabyte |
        | null keys              |
        | empty keys             |
        | binary keys            |
        | neither key nor value  |
        | repeated headers       |
        | given timestamps       |

  Rule: Compression changes nothing
    Not promised: that messages take less room; what is random, or already compressed, does not.

    Scenario Outline: Messages of every kind come back unchanged with <codec> compression
      Given a running broker
      And a topic that keeps messages of any age
      When messages of every kind are published with <codec> compression
      Then every acknowledged message is read once, in order and unchanged

      Examples:
        | codec  |
        | no     |
        | gzip   |
        | snappy |
        | lz4    |
        | zstd   |

  Rule: A message over the topic's limit is refused
    The publisher is told, and what comes before it and what others publish goes its way. The limit is one for batches,
    after compression; a batch holds one message at least.
    Not promised: that a publisher's client asks the broker at all, which may have a lower limit of its own, or that it
    can go on after a refusal.

    Scenario: A message over the topic's limit is rejected and seen by nobody
      Given a running broker
      And a topic with 1 partition that takes no batch over a megabyte
      When messages are published, one of them over the topic's limit
      Then the message over the limit is rejected
      And nobody sees the message over the limit
      And every acknowledged message is read once, in order and unchanged
