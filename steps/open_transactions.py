"""What readers of committed messages do while a transaction is open."""

from behave import register_type, when

from integrity.scenes import open_transactions
from integrity.vocabulary import count

register_type(Count=count)


@when("a reader of committed messages has got the {messages:Count} that are committed")
def a_reader_of_committed_messages(context, messages):
    open_transactions.read_committed(context.scene, messages)
