"""A session for the page's tests: recorded by the real recorder, its timeline written by hand around it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from playwright.sync_api import Browser

from tests.recorder.capture import Capture, attributes

HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>alert(1)</script>"
ANSWER = "Parcels can be returned within thirty days, free of charge."
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

STREAM_THE_ANSWER = """async words => {
  const answer = document.getElementById("plain");
  answer.textContent = "";
  for (const word of words) {
    answer.append(word + " ");
    await new Promise(resolve => setTimeout(resolve, 60));
  }
}"""


@dataclass(frozen=True)
class Story:
    """What the recorder sent for one visit, and the API's answers about it."""

    session_id: str
    stream_id: str
    events: list[dict[str, Any]]
    click: dict[str, Any]

    @property
    def session(self) -> dict[str, Any]:
        return {
            "session_id": self.session_id,
            "state": "active",
            "start_unix_nano": str(self.events[0]["timestamp"] * 1_000_000),
            "end_unix_nano": str(self.events[-1]["timestamp"] * 1_000_000),
            "user": HOSTILE,
            "feature": "returns",
            "label": None,
            "service": "shop",
            "interactions": 1,
            "actions": 1,
            "errors": 1,
            "traces": 1,
            "has_recording": True,
            "models": ["gpt-4o-mini"],
            "tokens": {"input": 1200, "output": 29},
        }

    def timeline(self) -> dict[str, Any]:
        entries = sorted(self._entries(), key=lambda entry: int(entry["start_unix_nano"]))
        return {
            "version": 1,
            "session_id": self.session_id,
            "sessions": [self.session_id],
            "traces": [TRACE],
            "start_unix_nano": entries[0]["start_unix_nano"],
            "end_unix_nano": max((entry["end_unix_nano"] for entry in entries), key=int),
            "clock_reference": "receiver",
            "entries": entries,
            "interactions": 1,
            "cost_usd": "0.000197",
            "cost_source": "computed",
            "tokens": {"input": 1200, "output": 29, "cache_read": None, "cache_write": None, "reasoning": None},
            "time_to_visible": [
                {
                    "action": "span:click",
                    "interaction": "span:chat",
                    "first_visible_ns": "163000000",
                    "fully_visible_ns": "1023000000",
                }
            ],
            "clock": [],
            "gaps": [],
            "warnings": [],
            "next_cursor": None,
        }

    def recording(self) -> dict[str, Any]:
        stream = {"stream_id": self.stream_id, "from_seq": 0, "to_seq": 9, "gaps": [], "events": self.events}
        return {"streams": [stream], "next_cursor": None}

    def _entries(self) -> list[dict[str, Any]]:
        clicked = int(self.click["startTimeUnixNano"])
        caused = {"rel": "caused_by", "target": "span:click", "basis": "inferred", "confidence": 0.93}
        question = f"{HOSTILE} How do I return it?"
        messages: dict[str, Any] = {
            "system_instructions": [{"type": "text", "content": "You help customers of a shop."}],
            "input_messages": [{"role": "user", "parts": [{"type": "text", "content": question}]}],
            "output_messages": [{"role": "assistant", "parts": [{"type": "text", "content": ANSWER}]}],
        }
        usage = {"input": 1200, "output": 29, "cache_read": 1024, "cache_write": None, "reasoning": None}
        chat: dict[str, Any] = {
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "response_model": "gpt-4o-mini-2024-07-18",
        }
        chat |= messages | {"usage": usage, "cost_usd": "0.000197", "time_to_first_token_ns": "159000000"}
        return [
            *self._added_text(),
            entry("span:click", "action", clicked, 4_000_000, "click #send", detail=attributes(self.click)),
            entry("span:post", "span", clicked + 2_800_000, 1_055_000_000, "POST /api/chat 200", links=[caused]),
            entry("span:chat", "interaction", clicked + 3_500_000, 1_051_000_000, HOSTILE, detail=chat, links=[caused]),
            entry("span:tool", "tool", clicked + 9_000_000, 1_000_000, "execute_tool find_order", status="error"),
            *(
                entry(f"span:send{n}", "span", clicked + n * 30_000_000, 20_000, "POST /api/chat http send", noise=True)
                for n in range(6, 12)
            ),
        ]

    def _added_text(self) -> list[dict[str, Any]]:
        """One entry for each recorded event that adds nodes, as distilling finds them."""
        numbers = count()
        return [
            entry(
                f"dom:{self.stream_id}:0:{next(numbers)}",
                "dom",
                event["timestamp"] * 1_000_000,
                0,
                f"text in #plain: {event['data']['adds'][0]['node'].get('textContent', '')}",
                detail={"type": "text", "selector": "#plain"},
                stream_id=self.stream_id,
            )
            for event in self.events
            if event["type"] == 3 and event["data"]["source"] == 0 and event["data"]["adds"]
        ]


def entry(entry_id: str, kind: str, start: int, duration: int, title: str, **more: Any) -> dict[str, Any]:
    """An entry of the timeline; ``noise`` goes into its detail."""
    detail = more.pop("detail", {}) | ({"noise": True} if more.pop("noise", False) else {})
    times = {"start_unix_nano": str(start), "end_unix_nano": str(start + duration), "raw_start_unix_nano": str(start)}
    ids = {"trace_id": TRACE if kind != "dom" else "", "span_id": "", "parent_span_id": "", "session_id": ""}
    plain = {"id": entry_id, "kind": kind, "title": title, "status": "unset", "stream_id": "", "links": []}
    return plain | times | ids | {"detail": detail} | more


def record_story(chromium: Browser, shop: Capture, shop_url: str) -> Story:
    """Visit the shop, ask, and watch the answer stream in."""
    context = chromium.new_context(viewport={"width": 800, "height": 500})
    page = context.new_page()
    page.goto(f"{shop_url}/shop")
    page.evaluate("() => { window.recorder = OtelReplay.record({endpoint: '/', userId: 'u1'}) }")
    page.wait_for_timeout(400)
    page.click("#send")
    page.evaluate(STREAM_THE_ANSWER, ANSWER.split())
    page.evaluate("() => recorder.stop()")
    session_id, stream_id = page.evaluate("() => [recorder.sessionId, recorder.streamId]")
    context.close()
    return Story(session_id, stream_id, shop.events(), next(shop.spans()))
