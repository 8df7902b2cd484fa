"""Life cycle: settings, then brokers, then a scenario's scene, then evidence and clean-up, whatever happens."""

import signal
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - for whoever runs behave in an older one
    # No f-string: this line must be readable for the Python that is too old.
    sys.exit("Python 3.11 or newer is needed; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

# Until a session begins there is nothing to clean up, and Ctrl-C ends the process at once. As an exception it may get
# lost: what is imported below has parts in C, which forget the errors of what they try to import themselves.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

try:
    from integrity.session import Session
except ModuleNotFoundError as missing:
    sys.exit(f"the module {missing.name!r} is missing: run `pip install -r requirements.txt`, or use `make verify`")


def before_all(context):
    context.session = Session.begin(context)


def before_feature(context, feature):
    context.session.open_feature(feature)


def before_scenario(context, scenario):
    context.scene = context.session.open_scene(scenario)


def before_step(context, step):
    context.session.watch.begin(f"{step.keyword} {step.name}")


def after_step(context, step):
    context.session.watch.end()


def after_scenario(context, scenario):
    context.session.close_scene(scenario)


def after_feature(context, feature):
    context.session.close_feature()


def after_all(context):
    if "session" in context:
        context.session.end()
