"""What KEDA takes as a ScaledObject and a TriggerAuthentication (keda.sh/v1alpha1), as far as ours use it.

Written from KEDA's documentation (concepts/scaling-deployments, scalers/redis-lists, scalers/rabbitmq-queue), as no
package of the tests carries its definitions. What is not named here is refused, whether KEDA knows it or not.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]


def _object(required: tuple[str, ...], **properties: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": False}


def _list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


TEXT: Final[Schema] = {"type": "string", "minLength": 1}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NUMBER: Final[Schema] = {"type": "string", "pattern": "^[1-9][0-9]*$"}  # Metadata are strings, numbers too.
METADATA: Final = _object(("name", "namespace"), name=TEXT, namespace=TEXT)


def _trigger(kind: str, metadata: Schema) -> Schema:
    by = _object(("name",), name=TEXT)
    return _object(
        ("type", "metadata", "authenticationRef"), type={"const": kind}, metadata=metadata, authenticationRef=by
    )


REDIS: Final = _trigger(
    "redis",
    _object(
        ("address", "listName", "listLength"),
        address={"type": "string", "pattern": "^[a-z0-9.-]+:[0-9]+$"},
        databaseIndex={"type": "string", "pattern": "^[0-9]+$"},
        listName=TEXT,
        listLength=NUMBER,
    ),
)
RABBITMQ: Final = _trigger(
    "rabbitmq",
    _object(
        ("queueName", "mode", "value"),
        protocol={"enum": ["auto", "amqp", "http"]},
        queueName=TEXT,
        mode={"enum": ["QueueLength", "MessageRate"]},
        value=NUMBER,
    ),
)
BEHAVIOR: Final = _object(
    ("scaleDown",),
    scaleDown=_object((), stabilizationWindowSeconds={"type": "integer", "minimum": 0, "maximum": 3_600}),
)
SCALED_OBJECT: Final = _object(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "ScaledObject"},
    metadata=METADATA,
    spec=_object(
        ("scaleTargetRef", "triggers"),
        scaleTargetRef=_object(("name",), name=TEXT),
        pollingInterval=COUNT,
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        fallback=_object(("failureThreshold", "replicas"), failureThreshold=COUNT, replicas=COUNT),
        advanced=_object((), horizontalPodAutoscalerConfig=_object((), behavior=BEHAVIOR)),
        triggers=_list({"oneOf": [REDIS, RABBITMQ]}),
    ),
)
TRIGGER_AUTHENTICATION: Final = _object(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "keda.sh/v1alpha1"},
    kind={"const": "TriggerAuthentication"},
    metadata=METADATA,
    spec=_object(
        ("secretTargetRef",),
        secretTargetRef=_list(_object(("parameter", "name", "key"), parameter=TEXT, name=TEXT, key=TEXT)),
    ),
)
SCHEMAS: Final = {"ScaledObject": SCALED_OBJECT, "TriggerAuthentication": TRIGGER_AUTHENTICATION}
