"""Who the engine is to be to a registry that it pulls an image from. docker is imported where it is needed."""

from __future__ import annotations

import json
import os
from typing import Any

from integrity import progress
from integrity.errors import Unavailable
from integrity.reports.text import one_line

#: How GitLab hands credentials to its jobs: the content of docker's config.json.
VARIABLE = "DOCKER_AUTH_CONFIG"


def credentials(name: str) -> dict[str, Any] | None:
    """What VARIABLE has for the registry of the image with that full name, as docker's library takes it.

    None: nothing, and the library looks into docker's config.json by itself. Nobody logs in: a login that is refused
    would be in the way of an image that the engine has, or that anybody may pull. So would be a program for all
    registries (``credsStore``) that is not on this machine, or does not tell: a line says so, and that is all.
    Raises Unavailable when the value cannot be read, DockerException when a program that it names for this registry
    (``credHelpers``) does not tell.
    """
    content = os.environ.get(VARIABLE)
    if not content:
        return None
    from docker.auth import load_config, resolve_repository_name
    from docker.errors import DockerException

    try:
        known = json.loads(content)
        config = load_config(config_dict=known) if known else None
    except (ValueError, TypeError, AttributeError, DockerException):
        # Not "from" them: they have the secret in them, or parts of it.
        raise Unavailable(
            f"the environment variable {VARIABLE} cannot be read: it is to have the content of docker's config.json"
        ) from None
    if config is None:
        return None
    host = resolve_repository_name(name)[0]
    try:
        return config.resolve_authconfig(host)
    except DockerException as error:
        if config.pop("credsStore", None) is None:
            raise
        found = config.resolve_authconfig(host)  # a program for this registry is asked once more, and raises again
        progress.say(f"The credsStore of {VARIABLE} is not asked who to be to {host}: {one_line(error)}")
        return found
