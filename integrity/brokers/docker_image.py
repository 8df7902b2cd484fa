"""What is known of an image: how it takes server properties, what its tags mean, whose its folders are."""

from __future__ import annotations

import re
from collections.abc import Mapping

from integrity.brokers.base import require_older
from integrity.brokers.engine import OWN_IMAGES, obtain_image
from integrity.errors import NotPossible, Unavailable

#: Images whose tags are Kafka's versions, from any registry. Others count for themselves: cp-kafka 8.1 is Kafka 4.1.
KAFKAS_TAGS = re.compile(rf"(.+/)?(apache/kafka|apache/kafka-native|{OWN_IMAGES}kafka)")

#: These have no folder where the volume is, which is root's therefore: whoever writes to it has to be root.
WITHOUT_DATA = re.compile(r"(.+/)?apache/kafka-native([:@].*)?")

#: Of an image's full name; behind a tag may be the digest that it had once, which is no other version's.
IMAGE_PARTS = re.compile(r"(?P<name>[^@]+?)(?::(?P<tag>[^:/@]+))?(?:@.*)?")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand for server properties: ``log.dirs`` is ``KAFKA_LOG_DIRS``.

    A dot becomes ``_``, an underscore ``__``, a dash ``___``, as the images undo it. Raises ValueError for
    a name with capital letters, which no variable can stand for.
    """
    variables = {}
    for name, value in settings.items():
        if name != name.lower():
            raise ValueError(f"the property {name} has capital letters: no KAFKA_* variable stands for it")
        key = name.replace("_", "__").replace("-", "___").replace(".", "_")
        variables[f"KAFKA_{key.upper()}"] = value
    return variables


def has_no_data(image: str) -> bool:
    """Whether the image has no folder for data that is its user's: whoever writes to a volume there has to be root."""
    return WITHOUT_DATA.fullmatch(image) is not None


def of_version(own: str, version: str) -> str:
    """The image of another version of Kafka than that of the image ``own``: the same name with that tag.

    Raises NotPossible where it cannot be had.
    """
    parts = IMAGE_PARTS.fullmatch(own)
    name, tag = (parts["name"], parts["tag"] or "") if parts is not None else (own, "")
    if not KAFKAS_TAGS.fullmatch(name):
        raise NotPossible(f"the tags of this image are not Kafka's versions: {own}")
    if not re.fullmatch(r"\d+\.\d+\.\d+", tag):
        raise NotPossible(f"the image {own} has no tag that names Apache Kafka's version")
    require_older(version, tag)
    image = f"{name}:{version}"
    try:
        obtain_image(image)
    except Unavailable as error:
        raise NotPossible(str(error)) from error
    return image
