"""Several brokers, and what is done to the one that has a role."""

from behave import given, register_type, then, when
from hamcrest import assert_that, equal_to, greater_than

from integrity.faults.process import WAYS_DOWN
from integrity.scenes import in_sync as in_sync_scenes
from integrity.scenes import moves, order, unreplicated
from integrity.scenes.commits import Commits
from integrity.scenes.cut_off import CutOff
from integrity.scenes.load import Load
from integrity.scenes.outages import Outages
from integrity.scenes.replaced_disk import ReplacedDisk
from integrity.scenes.replicas import require_alike
from integrity.scenes.replication import ROLES, Replication
from integrity.scenes.transacting import Transacting
from integrity.scenes.words import nothing
from integrity.vocabulary import count, one_of, skippable

register_type(Count=count, Role=one_of(*ROLES), Down=one_of(*WAYS_DOWN))

#: Seconds after which an impatient client asks somebody else.
IMPATIENT = 0.5

#: Seconds within which what is under way when too few become in sync is refused; its leader lets it wait so long.
LET_WAIT = 2.0


@given("three running brokers")
@skippable
def three_running_brokers(context):
    context.scene.part(Replication).cluster.check_alive()


@given(
    "a topic with {partitions:Count} partitions and {replicas:Count} replicas, {in_sync:Count} of which must be in sync"
)
@given(
    "a topic with {partitions:Count} partition and {replicas:Count} replicas, {in_sync:Count} of which must be in sync"
)
def a_replicated_topic(context, partitions, replicas, in_sync):
    context.scene.part(Replication).create_topic(partitions, replicas, in_sync)


@given("a topic with 1 partition and 3 replicas, {in_sync:Count} of which must be in sync, led by the controller")
def a_topic_led_by_the_controller(context, in_sync):
    context.scene.part(Replication).create_topic(1, 3, in_sync, led_by_controller=True)


@given("a topic with 1 partition and 2 replicas, 1 of which must be in sync, and any of which may lead")
def a_topic_that_any_replica_may_lead(context):
    context.scene.part(Replication).create_topic(1, 2, 1, **{"unclean.leader.election.enable": "true"})


@given("a publisher is at work that gives up at once what is refused")
def a_publisher_that_gives_up(context):
    context.scene.part(Load).publish(idempotent=False, retries=0, request_timeout=LET_WAIT)


@given("an impatient reader follows them")
def an_impatient_reader_follows(context):
    context.scene.part(Load).read(request_timeout=IMPATIENT)


@when("the {role:Role} is {how:Down} and started again in the middle of it")
def the_holder_of_a_role_is_restarted(context, role, how):
    context.scene.part(Replication).restart(role, how)


@then("partitions that it reads had another leader meanwhile")
def partitions_had_another_leader(context):
    context.scene.part(Replication).require_other_leaders()


@then("what an earlier group had committed is still known")
def commits_are_still_known(context):
    assert_that(context.scene.part(Commits).forgotten(), nothing(), "what was committed and is not known any more")


@when("the {role:Role} is frozen until the others have given it up, and thawed")
def the_holder_of_a_role_is_frozen(context, role):
    context.scene.part(Replication).freeze(role)


@when("whoever is the {role:Role} is killed and started again, {times:Count} times in a row")
def a_storm_over_a_role(context, role, times):
    context.scene.part(Replication).storm(role, times)


# -- several of them --------------------------------------------------------------------------------------
@when("every broker is {how:Down} and started again, one after the other")
def a_rolling_restart(context, how):
    context.scene.part(Outages).roll(how)


@when("every broker is {how:Down} at the same time, and all are started again")
def every_broker_goes_down(context, how):
    context.scene.part(Outages).take_all_down(how)


@when("the power fails at the {role:Role}")
@skippable
def the_power_fails_at(context, role):
    context.scene.part(Outages).lose_power([role])


@when("the power fails at the {role:Role} and the {other:Role} at the same time")
@skippable
def the_power_fails_at_two(context, role, other):
    context.scene.part(Outages).lose_power([role, other])


@when("the power fails at all brokers at the same time")
@skippable
def the_power_fails_at_all(context):
    context.scene.part(Outages).lose_power_everywhere()


@when("the {role:Role} is killed, and started again with an empty disk")
@skippable
def a_disk_is_replaced(context, role):
    context.scene.part(ReplacedDisk).replace(role)


@when("it is elected as the leader of every partition")
def it_leads_everywhere(context):
    context.scene.part(ReplacedDisk).lead()


@then("all replicas hold the same messages")
def all_replicas_are_alike(context):
    require_alike(context.scene)


# -- too few in sync --------------------------------------------------------------------------------------
@when("the follower is killed, and started again after publishing was refused")
def publishing_is_refused(context):
    in_sync_scenes.refuse_for_a_while(context.scene)


# -- what no replica has ----------------------------------------------------------------------------------
@when("the leader acknowledges {messages:Count} messages before its followers have them, and is killed")
def the_leader_dies_with_what_it_alone_has(context, messages):
    unreplicated.lose_leader_before_copies(context.scene, messages)


@when("the leader acknowledges {messages:Count} messages alone, is killed, and a follower without them takes over")
def a_follower_without_them_takes_over(context, messages):
    unreplicated.elect_who_missed(context.scene, messages)


@when("the leader acknowledges {messages:Count} messages alone, is killed, and is started again after nobody took over")
def nobody_takes_over(context, messages):
    unreplicated.wait_for_who_has_all(context.scene, messages)


@when("the leader acknowledges {messages:Count} messages alone and loses its power")
@skippable
def the_last_replica_loses_its_tail(context, messages):
    unreplicated.lose_power_alone(context.scene, messages)


@when("the follower is killed and the leader loses its power, and both are started again, the follower first")
@skippable
def the_last_known_leader_leads_again(context):
    unreplicated.lose_power_after_follower(context.scene)


# -- the network ------------------------------------------------------------------------------------------
@given("clients that reach the brokers over a network that can be cut")
def clients_over_a_network(context):
    context.scene.part(CutOff).watch_the_way()


@when("the {role:Role} is cut off from the other brokers until they go on without it, and connected again")
@skippable
def cut_off_from_the_others(context, role):
    context.scene.part(CutOff).isolate(role)


@when("the clients are cut off from the {role:Role} until all of them wait, and connected again")
def the_clients_are_cut_off(context, role):
    context.scene.part(CutOff).cut_clients_off(role)


@when("one publisher is cut off from the {role:Role} until it waits, while everybody else gets on, and connected again")
def one_publisher_is_cut_off(context, role):
    context.scene.part(CutOff).cut_one_publisher_off(role)


@then("nothing that only the old leader had was acknowledged, or is seen by anybody")
def nothing_stranded_was_seen(context):
    found = context.scene.part(CutOff).stranded_that_were_seen()
    assert_that(found, equal_to([]), "messages that no follower had")


# -- what an operator changes -----------------------------------------------------------------------------
@when("every broker in turn is made the preferred leader and elected")
def every_broker_is_elected(context):
    moves.pass_the_lead_on(context.scene)


@when("all replicas are moved from broker to broker until they are where they were")
def all_replicas_are_moved(context):
    moves.move_replicas(context.scene)


@when("{number:Count} partitions are added, and one more publisher begins")
def partitions_are_added(context, number):
    moves.add_partitions(context.scene, number)


@then("every one of {partitions:Count} partitions holds messages")
def every_partition_holds_messages(context, partitions):
    places = order.scene_partitions(context.scene)
    assert_that(len(places), equal_to(partitions), "partitions")
    for (topic, number), end in moves.ends(context.scene).items():
        assert_that(end, greater_than(0), f"messages in {topic}-{number}")


# -- transactions -----------------------------------------------------------------------------------------
@given("a transactional publisher is at work, and a reader of committed messages follows it")
def a_transactional_publisher_is_at_work(context):
    context.scene.part(Transacting).begin()


@then("the transactions go on")
def the_transactions_go_on(context):
    context.scene.part(Transacting).finish()
