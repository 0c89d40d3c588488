"""Reads the configuration of a deployment from CDK context, and says what is wrong with it."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from pydantic import ValidationError

from livemosaic_cdk.config import EMULATED, Config, ConfigError

_CLI_KEYS: Final = ("acknowledged-issue-numbers", "cli-telemetry")
"""Keys of the CDK CLI in context that have no `:`, `@` or `/`."""
_ENVIRONMENT: Final = {"account": "CDK_DEFAULT_ACCOUNT", "region": "CDK_DEFAULT_REGION"}
_MAX_SHOWN: Final = 200


def read(context: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Reads the configuration from CDK context; raises `ConfigError` listing every problem.

    The CDK CLI passes account and region of the profile in the environment.
    """
    defaults = {key: environ[name] for key, name in _ENVIRONMENT.items() if environ.get(name)}
    given = {key: value for key, value in context.items() if not _belongs_to_cdk(key)}
    emulated = EMULATED in environ
    try:
        return Config.model_validate(
            defaults | given, context={"emulated": emulated, "whole": True}
        )
    except ValidationError as error:
        raise ConfigError(_message(error)) from None


def _message(error: ValidationError) -> str:
    problems = (f"  {_problem_text(problem)}" for problem in error.errors())
    return "\n".join(
        [
            "This context cannot be deployed:",
            *problems,
            "Set values with -c KEY=VALUE or in the context of cdk.json.",
        ]
    )


def _belongs_to_cdk(key: str) -> bool:
    return key in _CLI_KEYS or any(sign in key for sign in ":@/")


def _without_secrets(text: str) -> str:
    """Hides what stands where a prefix names a secret, and is no name of one."""
    return re.sub(r"\b(bearer|earthdata|keys)=(?!env:|arn:)[^\s,'\"]+", r"\1=…", text)


def _problem_text(problem: Any) -> str:
    key, *inner = problem["loc"]
    place = str(key) + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in inner)
    value = f"{place}={_without_secrets(str(problem['input']))[:_MAX_SHOWN]!r}"
    if problem["type"] == "extra_forbidden" and not inner:
        near = get_close_matches(str(key), Config.model_fields, n=1, cutoff=0.5)
        known = ", ".join(Config.model_fields)
        return f"{value}: no such key; " + (
            f"did you mean {near[0]}?" if near else f"known keys are {known}"
        )
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{value}: {message}"
    meaning = Config.model_fields[key].description or ""
    return f"{value}: {message} ({' '.join(meaning.split())})"
