"""What a stream of changes carries, and what it never carries, over HTTP."""

from tests.messages import META, PREFIX, headers, request
from tests.transports.test_changes import Stream

SUBSCRIPTION = PREFIX + "subscriptionId"
LOUD = {**META, PREFIX + "logLevel": "debug", "progressToken": "p"}


def listen(door, wanted, id, meta=META):
    message = request("subscriptions/listen", {"notifications": wanted}, id=id, meta=meta)
    return door.http.stream("POST", door.url, json=message, headers=headers(message))


def test_a_listener_hears_nothing_that_it_did_not_ask_for(every, door):
    with listen(door, {"promptsListChanged": True, "resourceSubscriptions": ["cfg://a"]}, "few") as response:
        stream = Stream(response)
        assert stream.next()["method"] == "notifications/subscriptions/acknowledged"
        every.notify_list_changed("tools")
        every.notify_list_changed("resources")
        every.notify_resource_updated("cfg://b")
        every.notify_resource_updated("cfg://a")
        every.notify_list_changed("prompts")
        first, second = stream.next(), stream.next()
    assert (first["method"], first["params"]["uri"]) == ("notifications/resources/updated", "cfg://a")
    assert second["method"] == "notifications/prompts/list_changed"


def test_a_subscription_is_acknowledged_first_and_named_in_all_that_it_carries(every, door):
    with listen(door, {"toolsListChanged": True}, 1) as one, listen(door, {"toolsListChanged": True}, "two") as two:
        streams = {1: Stream(one), "two": Stream(two)}
        for id, stream in streams.items():
            acknowledged = stream.next()
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
            assert acknowledged["params"]["_meta"] == {SUBSCRIPTION: id}
        every.notify_list_changed("tools")
        for id, stream in streams.items():
            told = stream.next()
            assert (told["method"], told["params"]["_meta"]) == ("notifications/tools/list_changed", {SUBSCRIPTION: id})


def test_log_messages_and_progress_stay_on_the_stream_of_their_request(every, door, messages):
    with listen(door, {"toolsListChanged": True}, "s", meta=LOUD) as response:
        stream = Stream(response)
        assert stream.next()["method"] == "notifications/subscriptions/acknowledged"
        said = [message["method"] for message in messages(door.call("speak", meta=LOUD))[:-1]]
        assert said == ["notifications/progress", "notifications/message", "notifications/progress"]
        every.notify_list_changed("tools")
        assert stream.next()["method"] == "notifications/tools/list_changed"
