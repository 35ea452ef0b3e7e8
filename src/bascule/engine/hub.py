"""The hub: who wants to hear of which change, and what each has still to hear.

A change is a topic: a list ("tools"), or a resource's URI. What a listener has not taken yet is kept once for each
topic, so a listener that is slow costs no more than the topics that it listens to. Changes may be told from any thread.
What a listener may not read, it does not hear of, whatever it asked for: that is looked at with each change.
Knows topics and listeners; knows no message, no time and no transport.
"""

from collections.abc import Callable, Iterable

from bascule.errors import TooMany

TOOLS, PROMPTS, RESOURCES = "tools", "prompts", "resources"
TASK_TOPIC = "\0task "
"""What the topic of a task begins with; no URI begins so."""

LISTS = (TOOLS, PROMPTS, RESOURCES)

MayHear = Callable[[frozenset[str], str], bool]
"""Whether somebody who holds these scopes may hear of a resource."""

MAX_LISTENERS = 10_000
"""How many listeners a hub has at the most."""

MAX_TOPICS = 1000
MAX_TOPIC_CHARACTERS = 64 * 1024
"""How many resources one client may listen to, and how long all their URIs together may be."""


class Listener:
    """One who listens. `wake` is called, from any thread, when there is something to take or the end has come."""

    __slots__ = ("_heard", "_hub", "_scopes", "_size", "_wake", "ended", "topics")

    def __init__(self, hub: "Hub", wake: Callable[[], None], scopes: frozenset[str]) -> None:
        self._hub = hub
        self._scopes = scopes
        self._wake = wake
        self._heard: dict[str, None] = {}
        self._size = 0
        self.topics: set[str] = set()
        self.ended = False
        """Whether the server wants this listener to go."""

    def add(self, topic: str) -> None:
        """Listen to one more topic. Raises TooMany."""
        if topic in self.topics:
            return
        check_room(len(self.topics), self._size + len(topic))
        self.topics.add(topic)
        self._size += len(topic)
        self._hub.index(self, (topic,))

    def drop(self, topic: str) -> None:
        """Listen to one topic less."""
        if topic in self.topics:
            self.topics.discard(topic)
            self._size -= len(topic)
            self._hub.unindex(self, (topic,))

    def hear(self, topic: str) -> None:
        """A topic has changed; nothing is heard of one that may not be."""
        if topic in LISTS or topic.startswith(TASK_TOPIC) or self._hub.may_hear(self._scopes, topic):
            self._heard[topic] = None
            self._wake()

    def take(self) -> list[str]:
        """What has changed since the last time, in the order in which it was first heard of."""
        heard, self._heard = self._heard, {}
        return list(heard)

    def end(self) -> None:
        """Ask this listener to go: the server is stopping, or another takes its place."""
        self.ended = True
        self._wake()

    def close(self) -> None:
        """Listen no more."""
        self._hub.unindex(self, tuple(self.topics))
        self._hub.listeners.pop(self, None)


class Hub:
    """Tells listeners of changes, in the order in which they came."""

    def __init__(self, may_hear: MayHear = lambda scopes, topic: True) -> None:
        self.may_hear = may_hear
        self.listeners: dict[Listener, None] = {}
        self._by_topic: dict[str, dict[Listener, None]] = {}

    def listen(self, topics: Iterable[str], wake: Callable[[], None], scopes: frozenset[str] = frozenset()) -> Listener:
        """A new listener, who holds these scopes; it must be closed. Raises TooMany."""
        if len(self.listeners) >= MAX_LISTENERS:
            raise TooMany("Too many clients listen for changes; try again later")
        listener = Listener(self, wake, scopes)
        try:
            for topic in topics:
                listener.add(topic)
        except TooMany:
            listener.close()
            raise
        self.listeners[listener] = None
        return listener

    def tell(self, topic: str) -> None:
        """A topic has changed."""
        for listener in tuple(self._by_topic.get(topic, ())):
            listener.hear(topic)

    def index(self, listener: Listener, topics: Iterable[str]) -> None:
        """Remember that a listener wants these."""
        for topic in topics:
            self._by_topic.setdefault(topic, {})[listener] = None

    def unindex(self, listener: Listener, topics: Iterable[str]) -> None:
        """Forget that a listener wants these."""
        for topic in topics:
            wanting = self._by_topic.get(topic)
            if wanting is not None:
                wanting.pop(listener, None)
                if not wanting:
                    del self._by_topic[topic]


def check_room(count: int, characters: int) -> None:
    """Raise TooMany where one more than `count` topics, with so many characters in all, would be too much."""
    if count >= MAX_TOPICS + len(LISTS) or characters > MAX_TOPIC_CHARACTERS:
        raise TooMany(f"One client may subscribe to {MAX_TOPICS} resources, and {MAX_TOPIC_CHARACTERS} characters")
