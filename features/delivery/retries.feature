Feature: What a publisher sends again is there once
  When an acknowledgement does not come, a publisher cannot know whether its messages were stored, and sends them again.
  An idempotent publisher numbers its batches, so that the broker knows those that it has already.
  Not promised: any of it without idempotence.

  Rule: A publisher that sends again loses, doubles and reorders nothing
    The network fails at several requests of the publisher, with batches of several partitions under way.
    Not promised: how long it takes; a publisher gives up after a time of its own, and then cannot know. Not shown here:
    order with several batches of one partition under way; idempotent, neither client has several that are of this size.

    Scenario Outline: Messages are there once and in order although <the network fails>
      Given a running broker
      And a topic with 3 partitions
      And a network that can fail
      When a publisher sends 3,000 messages in small batches, and <the network fails> again and again
      Then every acknowledged message is read once, in order and unchanged

      Examples:
        | the network fails                                                                  |
        | the connection is cut before a request                                             |
        | the connection is cut in the middle of a request                                   |
        | the connection is cut after messages were stored and before they were acknowledged |
        | the connection is cut in the middle of an acknowledgement                          |
        | an acknowledgement vanishes                                                        |
        | an acknowledgement comes too late                                                  |
        | a batch is refused for a moment                                                    |
