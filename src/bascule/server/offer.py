"""The offer of one server: its features with their guards, its skills, and the servers that it is mounted in.

What is added here later appears in those too; what is removed goes there as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bascule.engine.application import Facts, Guarding
from bascule.engine.hub import RESOURCES, Hub
from bascule.engine.policy import Kind, Policy
from bascule.guards.scopes import may_use
from bascule.late import late
from bascule.server.features import Feature, ResourceFeature, TemplateFeature
from bascule.server.guarded import Guards
from bascule.server.mounting import prefixed, prefixed_uri
from bascule.server.registry import Registry, list_of
from bascule.wire.lifecycle import ServerCapabilities
from bascule.wire.requests import Implementation
from bascule.wire.skills import SKILLS

_CHANGES = {"listChanged": True}


class Explained(NamedTuple):
    """What holds for one feature, the places that ask for each part of it, and the guards that keep it."""

    kind: Kind
    address: str
    policy: Policy
    origins: dict[str, list[str]]
    guards: tuple[str, ...]

    def lacking(self, held: frozenset[str]) -> str | None:
        """Why somebody who holds these scopes may not call it; None where that is allowed."""
        if self.policy.deny:
            return "it is denied to everybody"
        missing = sorted(self.policy.scopes - held)
        return None if may_use(self.policy, held) else f"{', '.join(missing)} is missing"


class FoundResource(NamedTuple):
    """A resource, its URI, and what its template took from that."""

    feature: ResourceFeature | TemplateFeature
    uri: str
    variables: Mapping[str, str]


class Offer:
    """What one server offers, and to whom it hands that on."""

    def __init__(self, name: str, registry: Registry, hub: Hub, guards: Guards | None = None) -> None:
        self.registry = registry
        self.guards = guards or Guards(name)
        self.skills: Any = None
        self._hub = hub
        self._parents: list[tuple[Offer, str | None]] = []

    def check(self, features: Sequence[Feature]) -> None:
        """Raise DeclarationError if a name is taken, here or where this is mounted."""
        self.registry.check(features)
        for parent, prefix in self._parents:
            parent.check([prefixed(feature, prefix) for feature in features])

    def add(self, feature: Feature) -> None:
        """Offer a feature, guarded, here and where this is mounted. Raises DeclarationError where its name is taken."""
        self.add_all([feature])

    def add_all(self, features: Sequence[Feature]) -> None:
        """Offer all of these or none. Raises DeclarationError, ConfigError, and what a guard of the author's raises."""
        self.check(features)
        places = [place for feature in features for place in self._places(feature)]
        for offer, guarded in places:
            offer.registry.add(guarded)
            offer._hub.tell(list_of(guarded))

    def _places(self, feature: Feature) -> "list[tuple[Offer, Feature]]":
        """A feature as it is guarded here, and wherever this is mounted."""
        here: Feature = self.guards.guarded(feature)
        there = [one for parent, prefix in self._parents for one in parent._places(prefixed(here, prefix))]
        return [(self, here), *there]

    def remove(self, family: str, key: str) -> None:
        """Offer a feature no longer. Raises DeclarationError where there is none."""
        feature = self.registry.remove(family, key)
        self._hub.tell(list_of(feature))
        for parent, prefix in self._parents:
            parent.remove(family, self.registry.key_of(prefixed(feature, prefix)))

    def adopt(self, other: "Offer", prefix: str | None) -> None:
        """Offer what another offers, now and later, with a prefix. Raises DeclarationError where a name is taken."""
        self.add_all([prefixed(feature, prefix) for feature in other.registry])
        other._parents.append((self, prefix))
        if other.skills is not None:
            self.take_skills(_below(prefix, other.skills.offered))

    def guard_by(self, guarding: Guarding) -> None:
        """Guard every feature by these settings; by those from before where they cannot hold. Raises ConfigError."""
        before, _ = self.guards.chosen, guarding.list_limit
        self.guards.chosen = guarding
        try:
            self._guard_anew()
        except BaseException:
            self.guards.chosen = before
            raise

    def guard_with(self, guard: Any, before: str | None, results: bool = False) -> None:
        """Put a guard of the author's around every feature, or around none. Raises DeclarationError, and what the guard
        raises."""
        self.guards.add(guard, before, results)
        try:
            self._guard_anew()
        except BaseException:
            self.guards.own.pop()
            raise

    def _guard_anew(self) -> None:
        """Fold all guards again, here and where this is mounted; nowhere, where that fails."""
        for offer, features in self._folded():
            for feature in features:
                offer.registry.put(feature)

    def _folded(self) -> "list[tuple[Offer, list[Feature]]]":
        here: list[Feature] = [self.guards.guarded(feature) for feature in self.registry]
        return [(self, here), *(one for parent, _ in self._parents for one in parent._folded())]

    def resource_in(self, home: "Offer", uri: str) -> FoundResource | None:
        """The resource that has this URI here, as `home` offers and guards it: this offer, or one that mounts it."""
        found = self.registry.find_resource(uri)
        if found is None:
            return None
        feature, variables = found
        there = self._uris_in(home, (feature.address, uri))
        if there is None:
            return None
        address, uri = there
        place = home.registry.templates if isinstance(feature, TemplateFeature) else home.registry.resources
        offered = place.get(address)
        return None if offered is None else FoundResource(offered, uri, variables)

    def _uris_in(self, home: "Offer", uris: Sequence[str]) -> Sequence[str] | None:
        """These URIs as `home` spells them; None where this is not mounted in it."""
        if self is home:
            return uris
        for parent, prefix in self._parents:
            found = parent._uris_in(home, uris if prefix is None else [prefixed_uri(prefix, uri) for uri in uris])
            if found is not None:
                return found
        return None

    def explain(self) -> list[Explained]:
        """What holds for every feature. Raises ConfigError."""
        found: list[Explained] = []
        for feature in self.registry:
            policy, origins = self.guards.settled(feature)
            names = self.guards.applied(feature)
            found.append(Explained(feature.kind, feature.address, policy, origins, names))
        return found

    def take_skills(self, skills: list[Any]) -> None:
        """Offer these skills, here and where this is mounted."""
        if self.skills is None:
            self.skills = late("bascule.server.skills:Skills")(self.registry)
        self.skills.take(skills)
        for parent, prefix in self._parents:
            parent.take_skills(_below(prefix, skills))

    def tell_updated(self, uri: str) -> None:
        """Tell who subscribed to a resource that it has changed."""
        self._hub.tell(uri)
        for parent, prefix in self._parents:
            parent.tell_updated(uri if prefix is None else prefixed_uri(prefix, uri))

    def tell_changed(self, what: str) -> None:
        """Tell who listens that a list has changed."""
        self._hub.tell(what)
        for parent, _ in self._parents:
            parent.tell_changed(what)

    def facts(
        self, info: Implementation, instructions: str | None, cache: tuple[int, Any], extensions: dict[str, Any]
    ) -> Facts:
        """What a server with this offer says of itself. Families without features are not offered."""
        registry, (ttl_ms, cache_scope) = self.registry, cache
        added = extensions if self.skills is None else {**extensions, SKILLS: {"directoryRead": True}}
        return Facts(
            info=info,
            capabilities=ServerCapabilities(
                tools=dict(_CHANGES) if registry.tools else None,
                resources={"subscribe": True, **_CHANGES} if registry.resources or registry.templates else None,
                prompts=dict(_CHANGES) if registry.prompts else None,
                logging={},
                completions={} if registry.completes else None,
                extensions=added or None,
            ),
            instructions=instructions,
            ttl_ms=ttl_ms,
            cache_scope=cache_scope,
        )

    def family_of(self, uri: str) -> str:
        """Where a resource stands: among the resources or their templates."""
        return "templates" if uri in self.registry.templates else RESOURCES


def _below(prefix: str | None, skills: list[Any]) -> list[Any]:
    """The skills as a server that mounts theirs offers them."""
    return skills if prefix is None else [skill.below(prefix) for skill in skills]
